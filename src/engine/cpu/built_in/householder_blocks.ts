/**
 * The reflectors of a Householder reduction, in blocks that are applied by matrix products.
 *
 *   Qᵀ = H_1 H_2 ⋯ H_{d−1},   H_a ⋯ H_b = I − Uᵀ T U   with the reflectors in the rows of U and T upper triangular
 *
 * Source: Schreiber, Van Loan 1989, the compact WY representation (LAPACK's larft and larfb).
 *
 * @module
 */
import { addRowProducts } from "./row_products.ts";
import type { Tridiagonal } from "./tridiagonal.ts";

/** `I − Uᵀ T U`, which changes nothing beyond its first `length` coordinates. */
export interface ReflectorBlock {
  readonly count: number;
  readonly length: number;
  /** `U [count, length]`. */
  readonly u: Float64Array<ArrayBuffer>;
  /** `T [count, count]`. */
  readonly t: Float64Array<ArrayBuffer>;
}

/** The blocks of Qᵀ from left to right. @param most reflectors a block. */
export function* reflectorBlocks(
  { reflectors, norms }: Tridiagonal,
  most: number,
): Generator<ReflectorBlock> {
  const d = norms.length;
  for (let first = 1; first < d; first += most) {
    const count = Math.min(most, d - first);
    const length = first + count - 1; // of the block's last reflector
    const u = new Float64Array(count * length);
    for (let k = 0; k < count; k++) {
      const row = (first + k) * d;
      if (norms[first + k] > 0) u.set(reflectors.subarray(row, row + first + k), k * length);
    }
    yield { count, length, u, t: triangle(u, norms.subarray(first, first + count), length) };
  }
}

/** `T [count, count]`: column k is `−τ_k T U u_k` above `τ_k = 1/h_k`. */
function triangle(
  u: Float64Array,
  norms: Float64Array,
  length: number,
): Float64Array<ArrayBuffer> {
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

/** Each row of `x [rows, count]` times the block's T, in place. */
export function multiplyByTriangle(
  x: Float64Array | Float32Array,
  { t, count }: ReflectorBlock,
): void {
  for (let row = 0; row < x.length; row += count) {
    for (let k = count - 1; k >= 0; k--) {
      let sum = 0;
      for (let j = 0; j <= k; j++) sum += x[row + j] * t[j * count + k];
      x[row + k] = sum;
    }
  }
}
