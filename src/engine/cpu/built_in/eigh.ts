/**
 * Symmetric eigendecomposition in float64: Householder tridiagonalization, then implicit QL.
 *
 *   A = Q T Qᵀ = Q Z diag(w) Zᵀ Qᵀ
 *
 * @module
 */
import { transposedBasis } from "./householder_basis.ts";
import { fromStrips, implicitQl } from "./implicit_ql.ts";
import { tridiagonalize } from "./tridiagonal.ts";

/**
 * `A = V diag(w) Vᵀ`.
 *
 * @param a `[d, d]` symmetric; its lower triangle is read.
 * @returns `values [d]` ascending, eigenvectors in the columns of `vectors [d, d]`. Any NaN in gives NaN out.
 * @throws CurvdError `not-converged`.
 */
export function eigh(
  a: Float64Array,
  d: number,
): { values: Float64Array<ArrayBuffer>; vectors: Float64Array<ArrayBuffer> } {
  const scale = powerOfTwoAbove(a);
  if (!Number.isFinite(scale)) return { values: nans(d), vectors: nans(d * d) };
  const tridiagonal = tridiagonalize(a.map((x) => x / scale), d);
  const basis = transposedBasis(tridiagonal, d);
  const strips = implicitQl(tridiagonal.diagonal, tridiagonal.offDiagonal, basis);
  const unordered = tridiagonal.diagonal;
  const order = Uint32Array.from(unordered.keys()).sort((i, j) => unordered[i] - unordered[j]);
  const values = Float64Array.from(order, (i) => unordered[i] * scale);
  return { values, vectors: fromStrips(strips, order) };
}

/** Scaling by it is exact and keeps the squares of entries from overflow and underflow; 1 for a zero matrix. */
export function powerOfTwoAbove(a: Float64Array): number {
  let largest = 0;
  for (const x of a) {
    const size = Math.abs(x);
    if (!(size <= largest)) largest = size; // NaN passes too, and stays
    if (Number.isNaN(size)) return NaN;
  }
  return largest === 0 ? 1 : 2 ** Math.ceil(Math.log2(largest));
}

function nans(length: number): Float64Array<ArrayBuffer> {
  return new Float64Array(length).fill(NaN);
}
