import { type TensorInfo, Transpose, type TransposeAttrs } from "@tensorflow/tfjs-core";
import { turn } from "../turn.ts";
import { areFloat32, type Kernel, originalKernel, output, valuesOf } from "./kernel.ts";

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
  for (let start = 0; start < from.length; start += rows * columns) {
    turn(to, from, { rows, columns, start }, start);
  }
  return output(backend, [...x.shape.slice(0, -2), columns, rows], to);
};

function swapsLastTwo(perm: readonly number[], rank: number): boolean {
  return rank >= 2 && perm[rank - 1] === rank - 2 && perm[rank - 2] === rank - 1 &&
    perm.slice(0, -2).every((axis, place) => axis === place);
}
