/**
 * Dense layers: `s = a W + b`, `W [d_in, d_out]`, along the last axis of a.
 *
 * @module
 */
import {
  add,
  type layers,
  matMul,
  reshape,
  type Tensor,
  type Tensor2D,
  type Variable,
} from "@tensorflow/tfjs";
import { type Activation, type LayerVariable, trained } from "./tfjs_layer.ts";
import { alongSharedAxis, type Tell, WatchableBlock } from "./watchable.ts";

/** What TensorFlow.js's Dense holds, in fields that its types call private. */
interface Dense {
  readonly kernel: LayerVariable;
  readonly bias: LayerVariable | null | undefined;
  readonly activation: Activation;
}

export class DenseBlock extends WatchableBlock {
  readonly description;
  readonly sizes;
  readonly #dense: Dense;

  private constructor(name: string, layer: layers.Layer, kernel: Variable) {
    const dense = layer as unknown as Dense;
    const [dIn, dOut] = kernel.shape;
    super(name, layer, kernel, trained(layer, dense.bias), [dIn, dOut]);
    this.#dense = dense;
    this.description = { kind: "dense", layout: "io", bias: this.bias !== null } as const;
    this.sizes = { d_in: dIn, d_out: dOut };
  }

  /** Null for a layer whose kernel is frozen: the curvature of a bias alone is no block. */
  static of(name: string, layer: layers.Layer): DenseBlock | null {
    const kernel = trained(layer, (layer as unknown as Dense).kernel);
    return kernel && new DenseBlock(name, layer, kernel);
  }

  /**
   * The layer's own call would do, but for its fused product: that has one gradient function for inputs and
   * kernel together, so a backward pass for statistics alone would form every kernel's gradient.
   */
  apply(inputs: Tensor, _call: unknown, tell: Tell): Tensor {
    const { kernel, bias, activation } = this.#dense;
    const W = kernel.read() as Tensor2D;
    const [dIn, dOut] = W.shape;
    const product = matMul(reshape(inputs, [-1, dIn]) as Tensor2D, W);
    const rows = bias ? add(product, bias.read()) : product;
    const preActivations = reshape(rows, [...inputs.shape.slice(0, -1), dOut]);
    tell(inputs, preActivations);
    return activation.apply(preActivations);
  }

  joinInputs(uses: readonly Tensor[]): Tensor {
    return alongSharedAxis(uses, 1);
  }

  joinGradients(uses: readonly Tensor[]): Tensor {
    return alongSharedAxis(uses, 1);
  }
}
