/**
 * Singular pairs of the rearranged Fisher block, formed whole and decomposed in float64.
 *
 * `R(F)` maps symmetric matrices to symmetric ones and skew ones to skew ones, so its pairs are of one kind or the other; the
 * methods' are the symmetric ones. `R Rᵀ` has side d_out², which is small.
 *
 * @module
 */
import {
  type Dense,
  eigh,
  kronecker,
  norm,
  plus,
  product,
  rearrangement,
  transposed,
} from "../support/dense.ts";
import { type DenseBlock, fisherOf } from "../support/dense_fisher.ts";

export interface Rearranged {
  /** `R(F) [dOut², dIn²]`. */
  readonly matrix: Dense;
  readonly dIn: number;
  readonly dOut: number;
}

/** `σ u vᵀ` with `u [dOut, dOut]`, `v [dIn, dIn]`, and as the matrix `σ u ⊗ v` it stands for. */
export interface SymmetricPair {
  readonly u: Dense;
  readonly v: Dense;
  readonly sigma: number;
  readonly dense: Dense;
}

export function rearranged(block: DenseBlock): Rearranged {
  const { dIn, dOut } = block;
  return { matrix: rearrangement(fisherOf(block), dOut, dIn), dIn, dOut };
}

/** The leading symmetric pair of `R − Σ σ u vᵀ` of the pairs known. */
export async function bestPair(
  { matrix, dIn, dOut }: Rearranged,
  known: readonly SymmetricPair[] = [],
): Promise<SymmetricPair> {
  const rows = dOut * dOut, columns = dIn * dIn;
  const rest = known.reduce(
    (R, { u, v, sigma }) =>
      R.map((value, at) => value - sigma * u[Math.floor(at / columns)] * v[at % columns]),
    matrix,
  );
  const symmetric = onSymmetric(rest, rows, columns, dOut);
  const { vectors } = await eigh(
    product(symmetric, transposed(symmetric, rows, columns), rows, columns, rows),
  );
  const u = Float64Array.from({ length: rows }, (_, i) => vectors[i * rows + rows - 1]);
  const image = product(u, symmetric, 1, rows, columns);
  const sigma = norm(image);
  const v = image.map((value) => sigma > 0 ? value / sigma : 0);
  return { u, v, sigma, dense: kronecker(u, v).map((value) => sigma * value) };
}

/** `Π R`, Π the projection on symmetric matrices. */
function onSymmetric(R: Dense, rows: number, columns: number, d: number): Dense {
  const swapped = Float64Array.from({ length: rows * columns }, (_, at) => {
    const [op, ij] = [Math.floor(at / columns), at % columns];
    return R[((op % d) * d + Math.floor(op / d)) * columns + ij];
  });
  return plus(R, swapped).map((value) => value / 2);
}
