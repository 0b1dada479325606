/**
 * Squared error: `ℓ(y, z) = (y − z)²`, every output a term: a Gaussian's −log p of variance 1/2w, up to a constant.
 *
 *   ∂²ℓ/∂z² = 2,   S = √2;   sampled: g = √2 ε, ε ~ N(0, 1)
 *
 * @module
 */
import {
  broadcastTo,
  mul,
  randomNormal,
  type Scalar,
  squaredDifference,
  sum,
  tidy,
} from "@tensorflow/tfjs";
import { type FisherLoss, type TermWeight, unitAt, valuesOf, weightOf } from "./loss.ts";

/** @param weight w of a term; 0.5 is the papers' ½‖y − z‖². */
export function squaredError({ weight = "mean" }: { weight?: TermWeight } = {}): FisherLoss {
  const weightFor = (shape: readonly number[]) => weightOf(weight, valuesOf(shape));
  const rootOf = (shape: readonly number[]) => Math.sqrt(2 * weightFor(shape));
  return {
    name: "squared_error",
    activation: null,

    loss(targets, outputs) {
      return tidy(() => {
        const total = sum(squaredDifference(outputs, targets));
        return mul(total, weightFor(outputs.shape) / outputs.shape[0]) as Scalar;
      });
    },

    sample(z, seed) {
      return tidy(() => mul(randomNormal(z.shape, 0, 1, "float32", seed), rootOf(z.shape)));
    },

    columns: valuesOf,

    column(z, c) {
      return tidy(() => broadcastTo(mul(unitAt(c, z), rootOf(z.shape)), z.shape));
    },
  };
}
