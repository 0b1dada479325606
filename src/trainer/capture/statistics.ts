/**
 * What a batch tells of the layers: inputs a, gradients g, and how they are to be read.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs";
import type { FisherLoss } from "../fisher/mod.ts";

/** What a batch tells of one layer; the fields of a request's layer. */
export interface LayerStatistics {
  /**
   * a, without the homogeneous 1: dense `[n, d_in]` or, where it is applied along an axis or more than
   * once, `[n, s, d_in]`; conv2d `[n, h, w, c]`, of u uses `[u·n, h, w, c]`; embedding ids `[n]` or
   * `[n, s]`, int32; scale_and_shift the normalised x̂ `[n, f]` or `[n, s, f]`.
   */
  readonly inputs: Tensor;
  /** g, one row for each of `inputs`; of several backprops `[k, …]`. */
  readonly outputGradients: Tensor;
  /** What makes of g the gradients of each example's own loss: the wire's `gradient_scale`. */
  readonly gradientScale: number;
}

/** What a batch tells of a model. */
export interface Statistics {
  readonly fisher: "empirical" | "sampled" | "exact";
  /** k: the leading axis of output gradients where it is over 1. */
  readonly backprops: number;
  /** By block name; a layer that the loss did not depend on is left out. */
  readonly layers: ReadonlyMap<string, LayerStatistics>;
}

/** Which output gradients are asked for. */
export type StatisticsRequest =
  /** Of the loss itself, in the pass that differentiates it. */
  | {
    readonly fisher: "empirical";
    /** `mean` (the default) for a loss that is the batch's mean, `example` for its sum, or a number. */
    readonly gradientScale?: "mean" | "example" | number;
  }
  /** Of labels drawn from the model: one more backward pass a sample. */
  | {
    readonly fisher: "sampled";
    readonly loss: FisherLoss;
    /** Integer; the same seed and outputs give the same labels. */
    readonly seed: number;
    /** k ≥ 1 draws of every label; default 1. */
    readonly samples?: number;
  }
  /** Of the columns of a square root of the loss's Hessian: as many backward passes as outputs. */
  | { readonly fisher: "exact"; readonly loss: FisherLoss };

export function disposeStatistics(statistics: Statistics): void {
  for (const { inputs, outputGradients } of statistics.layers.values()) {
    dispose([inputs, outputGradients]);
  }
}
