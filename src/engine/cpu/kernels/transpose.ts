import { type TensorInfo, Transpose, type TransposeAttrs } from "@tensorflow/tfjs-core";
import { areFloat32, type Kernel, originalKernel, output, valuesOf } from "./kernel.ts";

/** Side of the square that is turned at once: 32 rows of 32 float32 stay in the first-level cache. */
const TILE = 32;

/** Transposition of the last two axes tile by tile; any other permutation is left to TensorFlow.js. */
export const transpose: Kernel<{ x: TensorInfo }, TransposeAttrs> = function transpose(call) {
  const { inputs: { x }, backend, attrs: { perm } } = call;
  const rank = x.shape.length;
  if (!areFloat32(x) || !swapsLastTwo(perm, rank)) {
    return originalKernel(Transpose)(call as never) as TensorInfo;
  }
  const [rows, columns] = x.shape.slice(-2);
  const from = valuesOf(backend, x);
  const to = new Float32Array(from.length);
  const size = rows * columns;
  for (let start = 0; start < from.length; start += size) {
    transposeMatrix(to, from, { start, rows, columns });
  }
  return output(backend, [...x.shape.slice(0, -2), columns, rows], to);
};

/** Writes the transposed matrix at the same `start`. */
export function transposeMatrix(
  to: Float32Array,
  from: Float32Array,
  { start, rows, columns }: { start: number; rows: number; columns: number },
): void {
  for (let i0 = 0; i0 < rows; i0 += TILE) {
    const iEnd = Math.min(i0 + TILE, rows);
    for (let j0 = 0; j0 < columns; j0 += TILE) {
      const jEnd = Math.min(j0 + TILE, columns);
      for (let i = i0; i < iEnd; i++) {
        for (let j = j0; j < jEnd; j++) to[start + j * rows + i] = from[start + i * columns + j];
      }
    }
  }
}

function swapsLastTwo(perm: readonly number[], rank: number): boolean {
  return rank >= 2 && perm[rank - 1] === rank - 2 && perm[rank - 2] === rank - 1 &&
    perm.slice(0, -2).every((axis, place) => axis === place);
}
