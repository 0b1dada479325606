/**
 * What TensorFlow.js's layers hold in fields that its types call private.
 *
 * @module
 */
import type { layers, Tensor, Variable } from "@tensorflow/tfjs";

/** A layer's weight. `read` hands out the variable that optimizers know by name, uncopied. */
export interface LayerVariable {
  read(): Tensor;
}

export interface Activation {
  getClassName(): string;
  apply(preActivations: Tensor): Tensor;
}

/** The variable of a weight, or null for one that is missing or frozen. */
export function trained(
  layer: layers.Layer,
  weight: LayerVariable | null | undefined,
): Variable | null {
  const isTrained = layer.trainableWeights.some((one) => one as unknown === weight);
  return isTrained ? weight!.read() as Variable : null;
}
