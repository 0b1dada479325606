/**
 * A model's outputs under observation: z, what they are before a final softmax or sigmoid.
 *
 * @module
 */
import { keep, type layers, LayersModel, type Tensor } from "@tensorflow/tfjs";
import type { FisherLoss } from "../fisher/mod.ts";
import type { StatisticsRequest } from "./statistics.ts";
import type { Activation } from "./tfjs_layer.ts";
import { replaceCall } from "./watch.ts";

/** A model's last layer under observation, from its making to {@linkcode OutputWatch.end}. */
export class OutputWatch {
  readonly #layer: layers.Layer & { activation?: Activation };
  readonly #activation: Activation | undefined;
  readonly #restoreCall: () => void;
  #outputs: Tensor | undefined;
  #calls = 0;
  /** z as the tape knows it. */
  #onTape: Tensor | undefined;
  /** Its values. */
  #values: Tensor | undefined;

  /**
   * @param request whose loss's z is wanted; the empirical Fisher has none.
   * @throws RangeError where the loss is not of this model's outputs.
   */
  constructor(model: LayersModel, request: StatisticsRequest) {
    const loss = request.fisher === "empirical" ? null : request.loss;
    this.#layer = outputLayer(model);
    this.#activation = this.#layer.activation;
    if (loss) expectFits(model, this.#layer, loss);
    const isLogits = loss?.activation === null;
    const isBefore = loss !== null && !isLogits;
    this.#restoreCall = replaceCall(this.#layer, (call) => (inputs, kwargs) => {
      if (isBefore && isSoftmaxLayer(this.#layer)) this.#keepZ([inputs].flat()[0]);
      const outputs = call(inputs, kwargs);
      this.#calls++;
      this.#outputs = [outputs].flat()[0];
      if (isLogits) this.#keepZ(this.#outputs);
      return outputs;
    });
    const activation = this.#activation;
    if (!isBefore || activation === undefined) return;
    this.#layer.activation = {
      getClassName: () => activation.getClassName(),
      apply: (z) => {
        this.#keepZ(z);
        return activation.apply(z);
      },
    };
  }

  /** n. @throws RangeError where the pass did not apply the model. */
  get examples(): number {
    return this.#applied().shape[0];
  }

  /** z, on the tape and its values. @throws RangeError where the pass did not apply the model once. */
  get z(): { readonly onTape: Tensor; readonly values: Tensor } {
    this.#applied();
    if (this.#calls !== 1) {
      throw new RangeError(
        `Cannot take the Fisher as the model must be applied once: its last layer "${this.#layer.name}" ` +
          `was used ${this.#calls} times`,
      );
    }
    return { onTape: this.#onTape!, values: this.#values! };
  }

  /** Gives the layer back what it had and disposes what was kept. */
  end(): void {
    this.#restoreCall();
    if (this.#activation) this.#layer.activation = this.#activation;
    this.#values?.dispose();
  }

  #keepZ(z: Tensor): void {
    this.#values?.dispose();
    this.#onTape = z;
    this.#values = keep(z.clone());
  }

  #applied(): Tensor {
    if (this.#outputs) return this.#outputs;
    throw new RangeError("Cannot capture a pass as it must apply the model: it did not");
  }
}

/** The layer whose outputs are the model's (the first, of several); of a nested model the innermost. */
function outputLayer(model: LayersModel): layers.Layer {
  const { sourceLayer } = model.outputs[0];
  return sourceLayer instanceof LayersModel ? outputLayer(sourceLayer) : sourceLayer;
}

/** The activation that a loss of logits has within: a model that ends in it would apply it twice. */
const LINKS: Readonly<Record<FisherLoss["name"], string | null>> = {
  softmax_cross_entropy: "softmax",
  sigmoid_cross_entropy: "sigmoid",
  squared_error: null,
};

function expectFits(
  model: LayersModel,
  layer: layers.Layer,
  { name, activation }: FisherLoss,
): void {
  if (model.outputs.length !== 1) {
    throw new RangeError(
      `Cannot take the Fisher of ${name} as the model must have one output: it has ${model.outputs.length}`,
    );
  }
  const found = lastActivation(layer);
  if (activation === null ? found === LINKS[name] : found !== activation) {
    const [outputs, must] = activation === null
      ? ["logits", `not end in ${found}`]
      : ["probabilities", `end in ${activation}`];
    throw new RangeError(
      `Cannot take the Fisher of ${name} of ${outputs} as the model's last layer "${layer.name}" must ` +
        `${must}: its activation is ${found ?? "none"}`,
    );
  }
}

/** Name of a layer's activation, such as `softmax`. */
function lastActivation(layer: layers.Layer & { activation?: Activation }): string | undefined {
  return isSoftmaxLayer(layer) ? "softmax" : layer.activation?.getClassName();
}

/** Whether a layer is a softmax over its last axis, as softmax cross-entropy is. */
function isSoftmaxLayer(layer: layers.Layer & { axis?: number }): boolean {
  if (layer.getClassName() !== "Softmax") return false;
  const { rank } = layer.input as { rank: number };
  return layer.axis === rank - 1 || layer.axis === -1;
}
