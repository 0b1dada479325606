/**
 * A step's pass over the model: its loss, and the statistics that are asked of it.
 *
 * @module
 */
import type { LayersModel, Scalar, Tensor } from "@tensorflow/tfjs";
import type { StatisticsRequest } from "../capture/mod.ts";
import { isGradientMethod, type Settings } from "./options.ts";

/** Steps of one seed before draws of labels would meet those of the next. */
const DRAWS_PER_SEED = 2 ** 20;

/** Applies the model to a batch and gives its loss. @throws RangeError where the settings have none. */
export function lossOfBatch(
  model: LayersModel,
  { loss }: Settings,
  inputs: Tensor,
  targets: Tensor,
): () => Scalar {
  if (loss === null) {
    throw new RangeError("Cannot take a step without a loss: give one to the optimizer");
  }
  return () => {
    const outputs = model.apply(inputs, { training: true }) as Tensor;
    return typeof loss === "function" ? loss(targets, outputs) : loss.loss(targets, outputs);
  };
}

/**
 * The statistics that a step's pass is to capture; null where none are due.
 *
 * @param isNeeded whether they are wanted though they are not due.
 * @throws RangeError for labels to be drawn without a loss to draw them from.
 */
export function statisticsDue(
  { method, fisher, fisherSamples, loss, seed, cadence }: Settings,
  step: number,
  isNeeded: boolean,
): StatisticsRequest | null {
  const isDue = isNeeded || cadence.isDue(step);
  if (!isDue || isGradientMethod(method)) return null;
  if (fisher === "empirical") return { fisher };
  if (loss === null || typeof loss === "function") {
    throw new RangeError(`Cannot capture the ${fisher} Fisher without a loss to draw labels from`);
  }
  if (fisher === "exact") return { fisher, loss };
  const draw = seed * DRAWS_PER_SEED + step + 1; // 0 is no seed to TensorFlow.js
  return { fisher, loss, samples: fisherSamples, seed: draw };
}
