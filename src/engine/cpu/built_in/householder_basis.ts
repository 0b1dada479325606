/**
 * The orthogonal matrix of a Householder reduction in float64.
 *
 * @module
 */
import { turn } from "../turn.ts";
import { multiplyByTriangle, type ReflectorBlock, reflectorBlocks } from "./householder_blocks.ts";
import { addRowProducts } from "./row_products.ts";
import type { Tridiagonal } from "./tridiagonal.ts";

/** Reflectors applied at a time. */
const BLOCK = 32;

/** `Qᵀ [d, d]` of `A = Q T Qᵀ`. */
export function transposedBasis(
  tridiagonal: Tridiagonal,
  d: number,
): Float64Array<ArrayBuffer> {
  const w = new Float64Array(d * d);
  for (let j = 0; j < d; j++) w[j * d + j] = 1;
  for (const block of reflectorBlocks(tridiagonal, BLOCK)) applyBlock(w, d, block);
  return w;
}

/** `W ← W − (W Uᵀ) T U` in the leading rows and columns; the others are still those of the identity. */
function applyBlock(w: Float64Array, d: number, block: ReflectorBlock): void {
  const { u, count, length } = block;
  const projected = new Float64Array(length * count);
  const leading = { data: w, start: 0, stride: d };
  addRowProducts({ data: projected, start: 0, stride: count }, leading, {
    data: u,
    start: 0,
    stride: length,
  }, { m: length, n: count, k: length, sign: 1 });
  multiplyByTriangle(projected, block);
  const columns = new Float64Array(u.length);
  turn(columns, u, { rows: count, columns: length });
  addRowProducts(leading, { data: projected, start: 0, stride: count }, {
    data: columns,
    start: 0,
    stride: count,
  }, { m: length, n: length, k: count, sign: -1 });
}
