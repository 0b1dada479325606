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
  util,
  zeros,
} from "@tensorflow/tfjs";
import { type LayerVariable, trained } from "./tfjs_layer.ts";
import { alongSharedAxis, type Tell, WatchableBlock } from "./watchable.ts";

/** What TensorFlow.js's BatchNormalization and LayerNormalization hold, in fields that its types call private. */
interface Normalization {
  gamma: LayerVariable | null | undefined;
  beta: LayerVariable | null | undefined;
  /** Axes of γ and β. */
  readonly axis: number | number[];
}

export class NormalizationBlock extends WatchableBlock {
  readonly description;
  readonly sizes = {};
  readonly #normalization: Normalization;
  /** Of γ and β. */
  readonly #shape: number[];

  constructor(name: string, layer: layers.Layer) {
    const normalization = layer as unknown as Normalization;
    const { gamma, beta } = normalization;
    const shape = (gamma ?? beta)!.read().shape;
    const features = util.sizeFromShape(shape);
    const parts = { layer, kernel: trained(layer, gamma), bias: trained(layer, beta) };
    super(name, parts, [features]);
    this.#normalization = normalization;
    this.#shape = shape;
    this.description = { kind: "scale_and_shift", features, block: "diagonal" } as const;
  }

  apply(inputs: Tensor, call: (inputs: Tensor) => Tensor, tell: Tell): Tensor {
    const { gamma, beta } = this.#normalization;
    const normalised = this.#normalised(inputs, call);
    const axes = this.#axes(inputs.rank);
    const along = (weight: LayerVariable) => {
      const sides = inputs.shape.map((side, axis) => axes.includes(axis) ? side : 1);
      return reshape(weight.read(), sides);
    };
    const scaled = gamma ? mul(normalised, along(gamma)) : normalised;
    const outputs = beta ? add(scaled, along(beta)) : scaled;
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
    // a layer without γ or β is left without: it does not read it then
    layer.gamma = gamma && { read: () => ones(this.#shape) };
    layer.beta = beta && { read: () => zeros(this.#shape) };
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
