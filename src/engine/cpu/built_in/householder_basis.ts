/**
 * The orthogonal matrix of a Householder reduction, formed in blocks.
 *
 *   Qᵀ = H_1 H_2 ⋯ H_{d−1},   H_a ⋯ H_b = I − Uᵀ T U   with the reflectors in the rows of U and T upper triangular
 *
 * Source: Schreiber, Van Loan 1989, the compact WY representation (LAPACK's larft and larfb).
 *
 * @module
 */
import { turn } from "../turn.ts";
import { addRowProducts } from "./row_products.ts";
import type { Tridiagonal } from "./tridiagonal.ts";

/** Reflectors applied at a time. */
const BLOCK = 32;

/** `Qᵀ [d, d]` of `A = Q T Qᵀ`. */
export function transposedBasis(
  { reflectors, norms }: Tridiagonal,
  d: number,
): Float64Array<ArrayBuffer> {
  const w = new Float64Array(d * d);
  for (let j = 0; j < d; j++) w[j * d + j] = 1;
  for (let first = 1; first < d; first += BLOCK) {
    const count = Math.min(BLOCK, d - first);
    const length = first + count - 1; // of the block's last reflector: beyond it nothing changes
    const u = new Float64Array(count * length);
    for (let k = 0; k < count; k++) {
      const row = (first + k) * d;
      if (norms[first + k] > 0) u.set(reflectors.subarray(row, row + first + k), k * length);
    }
    const t = triangle(u, norms.subarray(first, first + count), length);
    applyBlock(w, d, u, t, { count, length });
  }
  return w;
}

/** `T [count, count]`: column k is `−τ_k T U u_k` above `τ_k = 1/h_k`. */
function triangle(u: Float64Array, norms: Float64Array, length: number): Float64Array {
  const count = norms.length;
  const products = new Float64Array(count * count);
  const rows = { data: u, start: 0, stride: length };
  addRowProducts({ data: products, start: 0, stride: count }, rows, rows, {
    m: count,
    n: count,
    k: length,
    sign: 1,
  });
  const t = new Float64Array(count * count);
  for (let k = 0; k < count; k++) {
    const tau = norms[k] > 0 ? 1 / norms[k] : 0;
    for (let i = 0; i < k; i++) {
      let sum = 0;
      for (let j = i; j < k; j++) sum += t[i * count + j] * products[j * count + k];
      t[i * count + k] = -tau * sum;
    }
    t[k * count + k] = tau;
  }
  return t;
}

/** `W ← W − (W Uᵀ) T U` in the leading rows and columns; the others are still those of the identity. */
function applyBlock(
  w: Float64Array,
  d: number,
  u: Float64Array,
  t: Float64Array,
  { count, length }: { count: number; length: number },
): void {
  const projected = new Float64Array(length * count);
  const leading = { data: w, start: 0, stride: d };
  addRowProducts({ data: projected, start: 0, stride: count }, leading, {
    data: u,
    start: 0,
    stride: length,
  }, { m: length, n: count, k: length, sign: 1 });
  multiplyByTriangle(projected, t, count);
  const columns = new Float64Array(u.length);
  turn(columns, u, { rows: count, columns: length });
  addRowProducts(leading, { data: projected, start: 0, stride: count }, {
    data: columns,
    start: 0,
    stride: count,
  }, { m: length, n: length, k: count, sign: -1 });
}

/** Each row of `x` times the upper triangle, in place. */
function multiplyByTriangle(x: Float64Array, t: Float64Array, count: number): void {
  for (let row = 0; row < x.length; row += count) {
    for (let k = count - 1; k >= 0; k--) {
      let sum = 0;
      for (let j = 0; j <= k; j++) sum += x[row + j] * t[j * count + k];
      x[row + k] = sum;
    }
  }
}
