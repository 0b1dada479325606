/**
 * The kinds of layers, and how their tensors become the matrices that methods work on.
 *
 * @module
 */
export { Conv2dLayer } from "./conv2d.ts";
export { DenseLayer } from "./dense.ts";
export { EmbeddingLayer, EmbeddingSamples } from "./embedding.ts";
export type {
  Conv2dDescription,
  DenseDescription,
  EmbeddingDescription,
  KroneckerLayer,
  Layer,
  LayerDescription,
  LayerKind,
  ScaleAndShiftDescription,
  Shapes,
  Statistics,
} from "./layer.ts";
export { outputImage, samePadding } from "./patches.ts";
export { packedSide, resolveLayer, type Sizes } from "./resolve.ts";
export { ScaleAndShiftLayer, TangentSamples } from "./scale_and_shift.ts";
