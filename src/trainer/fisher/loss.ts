/**
 * A loss by what its Fisher matrix needs: labels drawn from the model, and a square root of its Hessian.
 *
 * An example's loss is a weighted sum over its terms, `l_b = w Σ_t ℓ(y_bt, z_bt)`, and z are the outputs
 * before a final softmax or sigmoid. Both kinds of output gradients have the same second moment:
 *
 *   E[g gᵀ] = Σ_c S_c S_cᵀ = ∂²l_b/∂z²
 *
 * Source: Martens & Grosse 2015, arXiv:1503.05671, section 5; for the square roots Dangel et al. 2020,
 * arXiv:1912.10985.
 *
 * @module
 */
import {
  cast,
  oneHot,
  reshape,
  type Scalar,
  type Tensor,
  tensor1d,
  tidy,
  util,
} from "@tensorflow/tfjs";

/** What the model's outputs are: z itself, or what its last activation makes of z. */
export type Outputs = "logits" | "probabilities";

/** w: `mean` is 1 over the terms of an example, as `tf.losses` weighs them; 1 is their sum. */
export type TermWeight = "mean" | number;

export interface FisherLoss {
  readonly name: "softmax_cross_entropy" | "sigmoid_cross_entropy" | "squared_error";
  /** Last activation of a model whose outputs are not z; null where they are. */
  readonly activation: "softmax" | "sigmoid" | null;
  /**
   * The loss itself, the mean of l_b over the batch.
   *
   * @param targets `[n, …]`, of the outputs' shape; for softmax one distribution a row.
   */
  loss(targets: Tensor, outputs: Tensor): Scalar;
  /**
   * Output gradients for labels drawn from the model, of each example's own loss.
   *
   * @param z `[n, …]`.
   * @returns g, of z's shape.
   */
  sample(z: Tensor, seed: number): Tensor;
  /** Columns of S for outputs of this shape, `[n, …]`. */
  columns(shape: readonly number[]): number;
  /** Column c of each example's S, in z's shape. */
  column(z: Tensor, c: number): Tensor;
}

/** w of an example with that many terms. */
export function weightOf(weight: TermWeight, terms: number): number {
  return weight === "mean" ? 1 / terms : weight;
}

/** Number of an example's values in a shape `[n, …]`. */
export function valuesOf(shape: readonly number[]): number {
  return util.sizeFromShape(shape.slice(1));
}

/** 1 at an example's value c, 0 elsewhere: `[1, …]`, where z is `[n, …]`. */
export function unitAt(c: number, z: Tensor): Tensor {
  return tidy(() => {
    const unit = oneHot(tensor1d([c], "int32"), valuesOf(z.shape));
    return reshape(cast(unit, "float32"), [1, ...z.shape.slice(1)]);
  });
}
