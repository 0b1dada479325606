/**
 * The Dense layers of a TensorFlow.js model, with what the K-FAC of a layer needs of them.
 *
 * @module
 */
import type { layers, LayersModel, Tensor, Variable } from "@tensorflow/tfjs";

/** A trainable Dense layer: `s = a W + b`, then its activation. */
export interface DenseLayer {
  /** Unique in the model. */
  readonly name: string;
  readonly layer: layers.Layer;
  /** `W [d_in, d_out]`. */
  readonly kernel: Variable;
  /** `b [d_out]`, or null for a layer without one. */
  readonly bias: Variable | null;
}

/** The trainable Dense layers of a model, in its order. */
export function denseLayers(model: LayersModel): DenseLayer[] {
  return model.layers
    .filter((layer) => layer.getClassName() === "Dense" && layer.trainableWeights.length > 0)
    .map((layer) => {
      // A layer's variables are the ones that optimizers know by name: `read` hands them out uncopied.
      const [kernel, bias] = layer.trainableWeights.map((weight) => weight.read() as Tensor);
      return {
        name: layer.name,
        layer,
        kernel: kernel as Variable,
        bias: (bias ?? null) as Variable | null,
      };
    });
}
