/**
 * The Gram matrix of all places of a batch, `K = A Aᵀ [nT, nT]`, by the columns of each example.
 *
 * @module
 */
import { concat, dispose, matMul, slice, type Tensor3D, tidy } from "@tensorflow/tfjs-core";
import { transposeEach } from "@/linalg/mod.ts";

/** Values of K that are computed together: 32 MiB. */
const MOST_VALUES = 2 ** 23;

/** `n × [b, n·T, T]`, of rows `a [b, n·T, d_in]`: computed from the diagonal down, and above it transposed. */
export function gramStrips(a: Tensor3D, n: number): Tensor3D[] {
  const [b, places, d] = a.shape;
  const T = places / n;
  const most = T * Math.max(1, Math.floor(MOST_VALUES / (b * places * T)));
  const blocks: { from: number; width: number; lower: Tensor3D }[] = []; // counted in places
  const strips: Tensor3D[] = [];
  for (let from = 0; from < places; from += most) {
    const width = Math.min(most, places - from);
    const lower: Tensor3D = tidy(() => {
      const below = slice(a, [0, from, 0], [b, places - from, d]);
      return matMul(below, slice(below, [0, 0, 0], [b, width, d]), false, true);
    });
    for (let at = from; at < from + width; at += T) {
      const above = (): Tensor3D[] =>
        blocks.map((block) =>
          transposeEach(slice(block.lower, [0, at - block.from, 0], [b, T, block.width]))
        );
      const below = (): Tensor3D => slice(lower, [0, 0, at - from], [b, places - from, T]);
      strips.push(tidy(() => concat([...above(), below()], 1)));
    }
    blocks.push({ from, width, lower });
  }
  dispose(blocks.map(({ lower }) => lower));
  return strips;
}
