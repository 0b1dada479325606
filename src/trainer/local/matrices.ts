/**
 * A layer's gradient as the matrix that curvature acts on, and an update back.
 *
 * Here W is `[d_in, d_out]`, as TensorFlow.js keeps it: `V = [∇W; ∇bᵀ]`, and `U = A⁻¹ V G⁻¹`. A grouped
 * convolution is a stack of such matrices `[groups, d_in, d_out]`, a normalisation a vector `[2f]`.
 *
 * @module
 */
import {
  concat,
  reshape,
  slice,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  tidy,
  transpose,
} from "@tensorflow/tfjs";
import type { BlockDescription, BlockGradient, BlockUpdate } from "../capture/mod.ts";

/** V of a gradient; the caller disposes it. */
export function toMatrix(
  description: BlockDescription,
  { gradient, bias_gradient }: BlockGradient,
): Tensor {
  return tidy(() => {
    switch (description.kind) {
      case "dense":
        return bias_gradient ? stacked(gradient as Tensor2D, bias_gradient) : gradient.clone();
      case "conv2d": {
        const { groups } = description;
        const filters = gradient.shape[3]!;
        const kernel = reshape(gradient, [-1, filters]) as Tensor2D;
        const V = bias_gradient ? stacked(kernel, bias_gradient) : kernel;
        if (groups === 1) return V.clone();
        const byGroup = reshape(V, [V.shape[0], groups, filters / groups]);
        return transpose(byGroup, [1, 0, 2]);
      }
      case "embedding":
        return gradient.clone();
      case "scale_and_shift":
        return concat([gradient as Tensor1D, bias_gradient!]);
    }
  });
}

/** The reverse, in the shapes of `like`; the caller disposes both tensors. */
export function fromMatrix(
  description: BlockDescription,
  U: Tensor,
  { gradient: { shape }, bias_gradient }: BlockGradient,
): BlockUpdate {
  return tidy(() => {
    if (description.kind === "scale_and_shift") {
      const { features } = description;
      return {
        update: slice(U, [0], [features]),
        bias_update: slice(U, [features], [features]) as Tensor1D,
      };
    }
    // a group's filters are neighbours again
    const matrix = U.rank === 3
      ? reshape(transpose(U, [1, 0, 2]), [U.shape[1]!, -1]) as Tensor2D
      : U as Tensor2D;
    if (!bias_gradient) return { update: reshape(matrix, shape).clone() };
    const [rows, columns] = matrix.shape;
    return {
      update: reshape(slice(matrix, [0, 0], [rows - 1, columns]), shape),
      bias_update: reshape(slice(matrix, [rows - 1, 0], [1, columns]), [columns]) as Tensor1D,
    };
  });
}

/** The bias as the row of the homogeneous 1. */
function stacked(kernel: Tensor2D, bias: Tensor1D): Tensor2D {
  return concat([kernel, reshape(bias, [1, -1]) as Tensor2D]);
}
