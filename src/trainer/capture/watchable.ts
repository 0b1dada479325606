/**
 * A block whose layer can be watched while it computes.
 *
 * @module
 */
import {
  concat,
  type layers,
  type NamedTensorMap,
  reshape,
  type Tensor,
  type Tensor1D,
  tidy,
  type Variable,
} from "@tensorflow/tfjs";
import type {
  BlockDescription,
  BlockGradient,
  BlockSizes,
  BlockUpdate,
  LayerBlock,
} from "./block.ts";

/** Takes a layer's inputs a and its outputs before the activation s, as the pass computes them. */
export type Tell = (inputs: Tensor, preActivations: Tensor) => void;

export abstract class WatchableBlock implements LayerBlock {
  abstract readonly description: BlockDescription;
  abstract readonly sizes: BlockSizes;

  /** @param gradientShape of the kernel's gradient on the wire. */
  constructor(
    readonly name: string,
    readonly layer: layers.Layer,
    readonly kernel: Variable,
    readonly bias: Variable | null,
    private readonly gradientShape: readonly number[],
  ) {}

  /**
   * Computes the layer as TensorFlow.js does, and tells its a and s on the way.
   *
   * @param call the layer's own computation.
   * @returns the layer's outputs.
   */
  abstract apply(inputs: Tensor, call: (inputs: Tensor) => Tensor, tell: Tell): Tensor;

  /** The inputs of one or more uses in one pass, as one tensor of the wire; the caller disposes it. */
  abstract joinInputs(uses: readonly Tensor[]): Tensor;

  /** The output gradients of the same uses, likewise. */
  abstract joinGradients(uses: readonly Tensor[]): Tensor;

  /** What the joined output gradients are to be multiplied with, beside the loss's own scale. */
  scaleOf(_uses: number): number {
    return 1;
  }

  gradientOf(gradients: NamedTensorMap): BlockGradient | null {
    const { kernel, bias } = this;
    if (!gradients[kernel.name] || (bias && !gradients[bias.name])) return null;
    return tidy(() => ({
      gradient: reshape(gradients[kernel.name], [...this.gradientShape]),
      ...(bias && { bias_gradient: reshape(gradients[bias.name], [-1]) as Tensor1D }),
    }));
  }

  updateOf({ update, bias_update: biasUpdate }: BlockUpdate): NamedTensorMap {
    const { kernel, bias } = this;
    return tidy(() => ({
      [kernel.name]: reshape(update, kernel.shape),
      ...(bias && biasUpdate && { [bias.name]: reshape(biasUpdate, bias.shape) }),
    }));
  }
}

/**
 * The uses of a layer side by side along the shared axis: `[n, s, …features]`, or `[n, …features]` for a single
 * use without one. This is K-FAC-expand's reading of weight sharing, and pairs every a with its g.
 *
 * @param features trailing axes that are no places.
 * @returns a new tensor.
 */
export function alongSharedAxis(uses: readonly Tensor[], features: 0 | 1): Tensor {
  return tidy(() => {
    if (uses.length === 1 && uses[0].rank <= 1 + features) return uses[0].clone();
    const rows = uses.map((use) => {
      const [n, ...rest] = use.shape;
      return reshape(use, [n, -1, ...rest.slice(rest.length - features)]);
    });
    return rows.length === 1 ? rows[0] : concat(rows, 1);
  });
}
