/**
 * From eigenvectors of the tridiagonal matrix to those of the matrix it was reduced from, in float32.
 *
 *   Vᵀ = Zᵀ Qᵀ,   block by block   W ← W − (W Uᵀ) T U
 *
 * @module
 */
import type { Float32Products } from "../products.ts";
import { multiplyByTriangle, reflectorBlocks } from "./householder_blocks.ts";
import type { Tridiagonal } from "./tridiagonal.ts";

/** Reflectors applied at a time: wider than for float64, as every product is copied in and out. */
const BLOCK = 64;

/** @param rows `Zᵀ [d, d]`, becomes `Vᵀ`. */
export function backTransform(
  products: Float32Products,
  rows: Float32Array,
  tridiagonal: Tridiagonal,
): void {
  const d = tridiagonal.norms.length;
  for (const block of reflectorBlocks(tridiagonal, BLOCK)) {
    const { count, length } = block;
    const u = Float32Array.from(block.u);
    const leading = leadingColumns(rows, d, length);
    const projected = new Float32Array(d * count);
    products.matMul(projected, leading, u, { m: d, k: length, n: count, transposeB: true });
    multiplyByTriangle(projected, block);
    products.matMul(leading, projected, u, { m: d, k: count, n: length });
    for (let row = 0; row < d; row++) {
      for (let to = row * d, from = row * length, end = from + length; from < end; to++, from++) {
        rows[to] -= leading[from];
      }
    }
  }
}

function leadingColumns(rows: Float32Array, d: number, length: number): Float32Array {
  const leading = new Float32Array(d * length);
  for (let row = 0; row < d; row++) {
    leading.set(rows.subarray(row * d, row * d + length), row * length);
  }
  return leading;
}
