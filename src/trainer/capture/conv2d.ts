/**
 * Convolutions, plain and depthwise: `s = a ∗ W + b`, `W [kh, kw, c_in, c_out]`, depthwise `[kh, kw, c, m]`.
 *
 * Images go channels-last, as the convolution itself takes them, whatever the layer's format. A depthwise
 * convolution is one of c groups: its kernel's bytes are those of `[kh, kw, 1, c·m]`.
 *
 * @module
 */
import {
  add,
  concat,
  conv2d,
  depthwiseConv2d,
  type layers,
  type Tensor,
  type Tensor4D,
  transpose,
  type Variable,
} from "@tensorflow/tfjs";
import { type Activation, type LayerVariable, trained } from "./tfjs_layer.ts";
import { type Tell, WatchableBlock } from "./watchable.ts";

/** What TensorFlow.js's Conv2D and DepthwiseConv2D hold, in fields that its types call private. */
interface Convolution {
  readonly kernel: LayerVariable | undefined;
  readonly depthwiseKernel: LayerVariable | undefined;
  readonly bias: LayerVariable | null;
  readonly activation: Activation;
  readonly strides: [number, number];
  readonly padding: "valid" | "same";
  readonly dilationRate: [number, number];
  readonly dataFormat: "channelsFirst" | "channelsLast";
}

export class Conv2dBlock extends WatchableBlock {
  readonly description;
  readonly sizes;
  readonly #convolution: Convolution;

  private constructor(name: string, layer: layers.Layer, kernel: Variable) {
    const convolution = layer as unknown as Convolution;
    const { depthwiseKernel, bias } = convolution;
    const [kh, kw, c, perChannel] = kernel.shape;
    const [groups, filters] = depthwiseKernel ? [c, c * perChannel] : [1, perChannel];
    super(name, layer, kernel, trained(layer, bias), [kh, kw, c / groups, filters]);
    this.#convolution = convolution;
    this.description = {
      kind: "conv2d",
      layout: "hwio",
      data_format: "nhwc",
      kernel_size: [kh, kw] as [number, number],
      strides: [...convolution.strides] as [number, number],
      padding: convolution.padding,
      dilations: this.#dilations,
      groups,
      bias: this.bias !== null,
    } as const;
    this.sizes = { c_in: c, c_out: filters, ...imageOf(layer, this.#isChannelsFirst) };
  }

  /** Null for a layer whose kernel is frozen: see {@linkcode DenseBlock.of}. */
  static of(name: string, layer: layers.Layer): Conv2dBlock | null {
    const { kernel, depthwiseKernel } = layer as unknown as Convolution;
    const variable = trained(layer, kernel ?? depthwiseKernel);
    return variable && new Conv2dBlock(name, layer, variable);
  }

  /** As the layer's own call, but for its fused operation: see {@linkcode DenseBlock.apply}. */
  apply(inputs: Tensor, _call: unknown, tell: Tell): Tensor {
    const { kernel, depthwiseKernel, bias, activation, strides, padding } = this.#convolution;
    const images = (this.#isChannelsFirst ? transpose(inputs, [0, 2, 3, 1]) : inputs) as Tensor4D;
    const filtered = depthwiseKernel
      ? depthwiseConv2d(images, depthwiseKernel.read() as Tensor4D, strides, padding)
      : conv2d(images, kernel!.read() as Tensor4D, strides, padding, "NHWC", this.#dilations);
    const preActivations = bias ? add(filtered, bias.read()) : filtered;
    tell(images, preActivations);
    return activation.apply(
      this.#isChannelsFirst ? transpose(preActivations, [0, 3, 1, 2]) : preActivations,
    );
  }

  /**
   * Several uses go on the batch axis, as images have no axis to hold them side by side.
   *
   * @throws RangeError where their sizes differ.
   */
  joinInputs(uses: readonly Tensor[]): Tensor {
    const odd = uses.find(({ shape }) => `${shape}` !== `${uses[0].shape}`);
    if (odd) {
      throw new RangeError(
        `Cannot capture layer "${this.name}" as all its uses must be of one size: ` +
          `[${uses[0].shape.join(", ")}] and [${odd.shape.join(", ")}]; exclude it`,
      );
    }
    return this.#stacked(uses);
  }

  joinGradients(uses: readonly Tensor[]): Tensor {
    return this.#stacked(uses);
  }

  /** u uses make u·n rows: their mean is 1/u of the sum over uses that F is of, and g enters it squared. */
  override scaleOf(uses: number): number {
    return Math.sqrt(uses);
  }

  #stacked(uses: readonly Tensor[]): Tensor {
    return uses.length === 1 ? uses[0].clone() : concat([...uses]);
  }

  get #isChannelsFirst(): boolean {
    return this.#convolution.dataFormat === "channelsFirst";
  }

  /** TensorFlow.js 4.22 takes a depthwise layer's dilation and does not use it. */
  get #dilations(): [number, number] {
    return this.#convolution.depthwiseKernel ? [1, 1] : [...this.#convolution.dilationRate];
  }
}

/** `image`, where every use of the layer in its model has the same. */
function imageOf(layer: layers.Layer, isChannelsFirst: boolean): { image?: [number, number] } {
  const shapes = layer.inboundNodes.map(({ inputShapes }) => inputShapes[0] as number[]);
  const images = shapes.map((shape) => isChannelsFirst ? shape.slice(2) : shape.slice(1, 3));
  const [h, w] = images[0] ?? [];
  const isFixed = h != null && w != null && images.every((image) => `${image}` === `${[h, w]}`);
  return isFixed ? { image: [h, w] } : {};
}
