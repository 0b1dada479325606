/**
 * Batch and layer normalisation: `s = γ x̂ + β`, x̂ the normalised inputs.
 *
 * How x̂ is made (over which axes, with whose moments, what becomes of the moving averages) is the layer's
 * own affair: it computes x̂ itself, with 1 for γ and 0 for β.
 *
 * @module
 */
import {
  add,
  type layers,
  mul,
  ones,
  reshape,
  type Tensor,
  transpose,
  type Variable,
  zeros,
} from "@tensorflow/tfjs";
import { type LayerVariable, trained } from "./tfjs_layer.ts";
import { alongSharedAxis, type Tell, WatchableBlock } from "./watchable.ts";

/** What TensorFlow.js's BatchNormalization and LayerNormalization hold, in fields that its types call private. */
interface Normalization {
  gamma: LayerVariable;
  beta: LayerVariable;
  /** Axes of γ and β. */
  readonly axis: number | number[];
}

export class NormalizationBlock extends WatchableBlock {
  readonly description;
  readonly sizes = {};
  readonly #normalization: Normalization;

  private constructor(name: string, layer: layers.Layer, gamma: Variable, beta: Variable) {
    super(name, layer, gamma, beta, [gamma.size]);
    this.#normalization = layer as unknown as Normalization;
    this.description = {
      kind: "scale_and_shift",
      features: gamma.size,
      block: "diagonal",
    } as const;
  }

  /**
   * Null for a layer that trains γ or β alone, as the block is of both (TensorFlow.js 4.22 differentiates none
   * that is made without one of them), or whose γ is of examples.
   */
  static of(name: string, layer: layers.Layer): NormalizationBlock | null {
    const normalization = layer as unknown as Normalization;
    const gamma = trained(layer, normalization.gamma), beta = trained(layer, normalization.beta);
    if (!gamma || !beta || [normalization.axis].flat().includes(0)) return null;
    return new NormalizationBlock(name, layer, gamma, beta);
  }

  apply(inputs: Tensor, call: (inputs: Tensor) => Tensor, tell: Tell): Tensor {
    const normalised = this.#normalised(inputs, call);
    const axes = this.#axes(inputs.rank);
    const sides = inputs.shape.map((side, axis) => axes.includes(axis) ? side : 1);
    const outputs = add(mul(normalised, reshape(this.kernel, sides)), reshape(this.bias!, sides));
    tell(normalised, outputs);
    return outputs;
  }

  joinInputs(uses: readonly Tensor[]): Tensor {
    return alongSharedAxis(uses.map((use) => this.#featuresLast(use)), 1);
  }

  joinGradients(uses: readonly Tensor[]): Tensor {
    return alongSharedAxis(uses.map((use) => this.#featuresLast(use)), 1);
  }

  /** x̂, in the inputs' shape. */
  #normalised(inputs: Tensor, call: (inputs: Tensor) => Tensor): Tensor {
    const layer = this.#normalization;
    const { gamma, beta } = layer;
    layer.gamma = { read: () => ones(this.kernel.shape) };
    layer.beta = { read: () => zeros(this.kernel.shape) };
    try {
      return call(inputs);
    } finally {
      layer.gamma = gamma;
      layer.beta = beta;
    }
  }

  /** `[n, …, features]`. */
  #featuresLast(tensor: Tensor): Tensor {
    const axes = this.#axes(tensor.rank);
    const places = tensor.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
    const last = transpose(tensor, [...places, ...axes]);
    const sides = places.map((axis) => tensor.shape[axis]);
    return reshape(last, [...sides, this.description.features]);
  }

  /** Ascending, whatever the order they were named in: so γ's values lie. */
  #axes(rank: number): number[] {
    const axes = [this.#normalization.axis].flat();
    return axes.map((axis) => axis < 0 ? axis + rank : axis).sort((x, y) => x - y);
  }
}
