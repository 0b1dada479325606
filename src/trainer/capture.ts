/**
 * Captures what curvature is made of: each Dense layer's inputs a and the gradients g of the loss by
 * its pre-activations, in the very forward and backward pass that differentiates the loss.
 *
 * A layer's activation is replaced, for the one pass, by itself after a watching identity: forward
 * it is nothing, backward it sees g on its way. No operation is repeated and no layer rewritten.
 *
 * @module
 */
import {
  customGrad,
  dispose,
  keep,
  type LayersModel,
  type NamedTensorMap,
  type Scalar,
  type Tensor,
  type Tensor2D,
  tidy,
  type Variable,
  variableGrads,
} from "@tensorflow/tfjs";
import { type DenseLayer, denseLayers } from "./dense_layers.ts";

/** What a batch tells of one layer; the caller disposes it. */
export interface LayerStatistics {
  /** a `[n, d_in]`, without the homogeneous 1. */
  readonly inputs: Tensor2D;
  /** g `[n, d_out]`, of the loss as it was given: of a batch mean, 1/n of each example's own. */
  readonly outputGradients: Tensor2D;
}

/** By layer name. */
export type Statistics = ReadonlyMap<string, LayerStatistics>;

export interface Captured {
  readonly loss: Scalar;
  /** By variable name, as `Optimizer.applyGradients` takes them. */
  readonly gradients: NamedTensorMap;
  readonly statistics: Statistics;
}

/** The loss of a model's outputs: a mean over the batch. */
export type LossOf = (outputs: Tensor) => Scalar;

/**
 * Differentiates a loss and captures the statistics of every trainable Dense layer on the way.
 *
 * @param model whose Dense layers are applied once each, to inputs `[n, d_in]`.
 * @param inputs `[n, …]`, a batch.
 * @returns tensors that the caller disposes.
 * @throws RangeError for a Dense layer that is applied twice, or along a shared axis.
 */
export function captureGradients(model: LayersModel, inputs: Tensor, lossOf: LossOf): Captured {
  const variables = model.trainableWeights.map((weight) => weight.read() as Variable);
  return capture(model, inputs, lossOf, variables);
}

/**
 * Captures the statistics alone, as for labels sampled from the model.
 *
 * The pass differentiates by the biases only: that takes g through every layer, and forms none of
 * the kernels' gradients, which are a third of the work.
 *
 * @returns tensors that the caller disposes.
 * @throws RangeError as {@linkcode captureGradients}.
 */
export function captureStatistics(model: LayersModel, inputs: Tensor, lossOf: LossOf): Statistics {
  const variables = denseLayers(model).map(({ kernel, bias }) => bias ?? kernel);
  const { loss, gradients, statistics } = capture(model, inputs, lossOf, variables);
  dispose([loss, ...Object.values(gradients)]);
  return statistics;
}

export function disposeStatistics(statistics: Statistics): void {
  for (const { inputs, outputGradients } of statistics.values()) dispose([inputs, outputGradients]);
}

function capture(
  model: LayersModel,
  inputs: Tensor,
  lossOf: LossOf,
  variables: Variable[],
): Captured {
  const watches = denseLayers(model).map((dense) => new Watch(dense));
  try {
    const { value: loss, grads: gradients } = tidy(() =>
      variableGrads(() => lossOf(model.apply(inputs, { training: true }) as Tensor), variables)
    );
    return {
      loss,
      gradients,
      statistics: new Map(watches.map((watch) => [watch.name, watch.statistics()])),
    };
  } catch (error) {
    for (const watch of watches) watch.dispose();
    throw error;
  } finally {
    for (const watch of watches) watch.end();
  }
}

/** An activation as TensorFlow.js's layers hold it, in a field that its types call private. */
interface Activation {
  getClassName(): string;
  apply(preActivations: Tensor): Tensor;
}

/** One layer under observation, from its making to {@linkcode Watch.end}. */
class Watch {
  readonly name: string;
  readonly #layer: DenseLayer["layer"] & { activation: Activation };
  readonly #activation: Activation;
  #inputs: Tensor | undefined;
  #outputGradients: Tensor | undefined;

  constructor({ name, layer }: DenseLayer) {
    this.name = name;
    this.#layer = layer as DenseLayer["layer"] & { activation: Activation };
    this.#activation = this.#layer.activation;
    layer.setCallHook((inputs) => this.#keepInputs([inputs].flat()[0]));
    this.#layer.activation = {
      // no name of a fused kernel: else the layer would never apply this
      getClassName: () => "watched",
      apply: (preActivations) => this.#activation.apply(this.#watch(preActivations)),
    };
  }

  /** @throws RangeError where the loss does not depend on the layer. */
  statistics(): LayerStatistics {
    if (this.#inputs === undefined || this.#outputGradients === undefined) {
      throw new RangeError(`Cannot capture layer "${this.name}" as the loss does not depend on it`);
    }
    return {
      inputs: this.#inputs as Tensor2D,
      outputGradients: this.#outputGradients as Tensor2D,
    };
  }

  dispose(): void {
    dispose([this.#inputs, this.#outputGradients].filter((tensor) => tensor !== undefined));
  }

  /** Gives the layer back its own activation. */
  end(): void {
    this.#layer.clearCallHook();
    this.#layer.activation = this.#activation;
  }

  #keepInputs(inputs: Tensor): void {
    if (this.#inputs !== undefined) {
      throw new RangeError(`Cannot capture layer "${this.name}" as it must be applied only once`);
    }
    if (inputs.rank !== 2) {
      throw new RangeError(
        `Cannot capture layer "${this.name}" as its inputs must be [n, d_in]: they are ` +
          `[${inputs.shape.join(", ")}]`,
      );
    }
    this.#inputs = keep(inputs.clone());
  }

  /** The identity, whose gradient keeps what flows through it. */
  #watch(preActivations: Tensor): Tensor {
    const identity = customGrad((x) => ({
      value: (x as Tensor).clone(),
      gradFunc: (outputGradients: Tensor) => {
        this.#outputGradients = keep(outputGradients.clone());
        return outputGradients;
      },
    }));
    return identity(preActivations);
  }
}
