/**
 * Mini-block Fisher: one inverse an output neuron (dense) or a filter (conv2d), `u_o = M_o⁻¹ v_o`.
 *
 * A filter's taps are a block, its bias another of one number, which comes undamped as its second moment.
 *
 * Source: Bahamou, Goldfarb & Ren 2022, arXiv:2202.04124.
 *
 * @module
 */
import {
  add,
  concat,
  div,
  matMul,
  reshape,
  slice,
  type Tensor,
  type Tensor3D,
  transpose,
} from "@tensorflow/tfjs";
import type { BlockDescription } from "../capture/mod.ts";

/**
 * `U` of a layer's blocks. To be called inside a tidy.
 *
 * @param M_inv `[d_out, d_in, d_in]`, `[d_in, d_in]` where one block stands for all neurons, or of a
 *   convolution `[filters·channels, taps, taps]`.
 * @param bias_moments of a convolution `[d_out, 1]`, in groups `[groups, d_out, 1]`.
 */
export function solveMiniBlocks(
  description: BlockDescription,
  { M_inv, bias_moments }: Readonly<Record<string, Tensor>>,
  damping: number,
  V: Tensor,
): Tensor {
  if (description.kind !== "conv2d") {
    if (M_inv.rank === 2) return matMul(M_inv, V);
    const [dIn, dOut] = V.shape;
    const rows = reshape(transpose(V), [dOut, 1, dIn]);
    return transpose(reshape(matMul(rows, M_inv), [dOut, dIn]));
  }
  const { groups, kernel_size: [kh, kw], bias } = description;
  const taps = kh * kw;
  const stack = reshape(V, [groups, -1, V.shape.at(-1)!]) as Tensor3D; // taps run slowest of a row
  const dOut = stack.shape[2];
  const features = stack.shape[1] - Number(bias);
  const channels = features / taps;
  const kernels = reshape(slice(stack, [0, 0, 0], [groups, features, dOut]), [
    groups,
    taps,
    channels,
    dOut,
  ]);
  const blocks = reshape(transpose(kernels, [0, 3, 2, 1]), [groups * dOut * channels, 1, taps]);
  const inverses = reshape(M_inv, [-1, taps, taps]);
  const solved = reshape(matMul(blocks, inverses), [groups, dOut, channels, taps]);
  const U = reshape(transpose(solved, [0, 3, 2, 1]), [groups, features, dOut]) as Tensor3D;
  if (!bias) return reshape(U, V.shape);
  const last = slice(stack, [0, features, 0], [groups, 1, dOut]);
  const moments = reshape(bias_moments, [groups, 1, dOut]);
  return reshape(concat([U, div(last, add(moments, damping)) as Tensor3D], 1), V.shape);
}
