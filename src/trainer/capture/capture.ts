/**
 * Captures what curvature is made of: each layer's inputs a and the gradients g of the loss by what the
 * layer computes before its activation, in the very forward and backward pass that differentiates the loss.
 *
 * Gradients of labels that the model draws take one more backward pass over the same forward pass, in which
 * no kernel's gradient is formed. Before a batch normalisation in training, an example's g holds the losses of
 * the whole batch, as its outputs do: K-FAC takes it for the example's own, as everywhere.
 *
 * @module
 */
import {
  type LayersModel,
  type NamedTensorMap,
  type Scalar,
  tidy,
  type Variable,
  variableGrads,
} from "@tensorflow/tfjs";
import type { LayerBlock, UncoveredLayer } from "./block.ts";
import { type Cover, coverModel } from "./cover.ts";
import { type PassResult, runPass } from "./pass.ts";
import type { Statistics, StatisticsRequest } from "./statistics.ts";

export interface CaptureSettings {
  /** Names of layers that are to keep their plain gradient. */
  readonly exclude?: readonly string[];
  /** Told once of each trainable layer without a block; by default it is written to the console. */
  readonly onUncovered?: (layer: UncoveredLayer) => void;
}

export interface PassSettings {
  /** By which the loss is differentiated; the model's trainable ones by default. */
  readonly variables?: readonly Variable[];
  /** None by default: then the pass is TensorFlow.js's own. */
  readonly statistics?: StatisticsRequest | null;
}

export interface Captured {
  readonly loss: Scalar;
  /** By variable name, as `Optimizer.applyGradients` takes them. */
  readonly gradients: NamedTensorMap;
  /** Null where none were asked for. */
  readonly statistics: Statistics | null;
}

/** A model whose passes can be captured. Its layers, and which of them are frozen, are as they were at the making. */
export class ModelCapture {
  readonly #model: LayersModel;
  readonly #cover: Cover;

  /** @throws RangeError for an excluded name that is no trainable layer's. */
  constructor(
    model: LayersModel,
    { exclude = [], onUncovered = warn }: CaptureSettings = {},
  ) {
    this.#model = model;
    this.#cover = coverModel(model, exclude);
    this.uncovered.forEach(onUncovered);
  }

  /** The layers with a block, in the model's order. */
  get blocks(): readonly LayerBlock[] {
    return this.#cover.blocks;
  }

  /** The trainable layers without one. */
  get uncovered(): readonly UncoveredLayer[] {
    return this.#cover.uncovered;
  }

  /**
   * Differentiates a loss, and captures the statistics of every block on the way.
   *
   * Call hooks of captured Dense layers are not called in a pass with statistics.
   *
   * @param lossOf applies the model and returns its loss.
   * @returns tensors that the caller disposes.
   * @throws RangeError where the statistics asked for cannot be had of this model or pass, by name.
   */
  gradients(
    lossOf: () => Scalar,
    { variables, statistics = null }: PassSettings = {},
  ): Captured {
    const trained = (variables ?? this.#variables()).filter(({ trainable }) => trainable);
    if (statistics) {
      const { loss, gradients, statistics: captured } = this.#pass(lossOf, trained, statistics);
      return { loss: loss!, gradients, statistics: captured };
    }
    const { value, grads } = tidy(() => variableGrads(lossOf, trained));
    return { loss: value, gradients: grads, statistics: null };
  }

  /**
   * Captures the statistics alone.
   *
   * @param pass applies the model; for the empirical Fisher it returns the loss.
   * @returns tensors that the caller disposes.
   * @throws RangeError as {@linkcode ModelCapture.gradients}.
   */
  statistics(pass: () => unknown, request: StatisticsRequest): Statistics {
    const { loss, statistics } = this.#pass(pass, [], request);
    loss?.dispose();
    return statistics;
  }

  #variables(): Variable[] {
    return this.#model.trainableWeights.map((weight) => weight.read() as Variable);
  }

  #pass(
    pass: () => unknown,
    variables: readonly Variable[],
    request: StatisticsRequest,
  ): PassResult {
    return runPass({ model: this.#model, blocks: this.#cover.blocks, pass, variables, request });
  }
}

function warn({ name, className }: UncoveredLayer): void {
  console.warn(
    `curvd: layer "${name}" (${className}) has no block of curvature: it keeps its plain gradient`,
  );
}
