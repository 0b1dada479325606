/**
 * A layer with a block of curvature: what it is to a curvd server, and how its variables' gradients travel.
 *
 * TensorFlow.js keeps weights `[d_in, d_out]`, so dense layers have layout `io` and convolutions `hwio`; a
 * gradient and an update keep the bytes of their variable.
 *
 * @module
 */
import type { layers, NamedTensorMap, Tensor, Tensor1D, Variable } from "@tensorflow/tfjs";

/** A layer as `layers.<name>` of a request describes it (api.md, section 2). */
export type BlockDescription =
  | { readonly kind: "dense"; readonly layout: "io"; readonly bias: boolean }
  | {
    readonly kind: "conv2d";
    readonly layout: "hwio";
    readonly data_format: "nhwc";
    readonly kernel_size: [number, number];
    readonly strides: [number, number];
    readonly padding: "valid" | "same";
    readonly dilations: [number, number];
    /** The channels of a depthwise convolution, else 1. */
    readonly groups: number;
    readonly bias: boolean;
  }
  | { readonly kind: "embedding"; readonly vocabulary: number }
  | {
    readonly kind: "scale_and_shift";
    readonly features: number;
    readonly block: "diagonal";
  };

/** Sizes for `plan` and sessions, without the homogeneous 1; `image` where the model fixes it. */
export interface BlockSizes {
  readonly d_in?: number;
  readonly d_out?: number;
  readonly c_in?: number;
  readonly c_out?: number;
  readonly image?: [number, number];
}

/** A layer's gradient in the wire's fields. */
export interface BlockGradient {
  readonly gradient: Tensor;
  readonly bias_gradient?: Tensor1D;
}

/** A layer's update in the wire's fields. */
export interface BlockUpdate {
  readonly update: Tensor;
  readonly bias_update?: Tensor1D;
}

/** A trainable layer that curvature knows. */
export interface LayerBlock {
  /** Unique in the model; of a layer in a nested model `outer/inner`. */
  readonly name: string;
  readonly layer: layers.Layer;
  readonly description: BlockDescription;
  readonly sizes: BlockSizes;
  /** Kernel, table or scale. */
  readonly kernel: Variable;
  /** Bias or shift; null for a layer that has none to train. */
  readonly bias: Variable | null;
  /**
   * Takes the layer's part of the gradients, in the wire's shapes.
   *
   * @param gradients by variable name.
   * @returns new tensors, which the caller disposes; null where kernel or bias has no gradient among them.
   */
  gradientOf(gradients: NamedTensorMap): BlockGradient | null;
  /**
   * Gives an update the shapes of the layer's variables.
   *
   * @returns new tensors by variable name, as `Optimizer.applyGradients` takes them; the caller disposes them.
   */
  updateOf(update: BlockUpdate): NamedTensorMap;
}

/** A trainable layer without a block: its plain gradient is its update. */
export interface UncoveredLayer {
  readonly name: string;
  /** As TensorFlow.js calls its kind, such as `LSTM`. */
  readonly className: string;
  readonly variables: readonly Variable[];
}
