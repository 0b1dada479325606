/**
 * Softmax cross-entropy: `ℓ(y, z) = −Σ_j y_j log p_j`, `p = softmax(z)`, over the last axis of z.
 *
 *   ∂²ℓ/∂z² = diag(p) − p pᵀ = S Sᵀ,   S = diag(√p) − p √pᵀ;   sampled: g = p − e_y, y ~ p
 *
 * @module
 */
import {
  argMax,
  backend,
  clipByValue,
  log,
  logSoftmax,
  mul,
  neg,
  oneHot,
  randomUniform,
  reshape,
  type Scalar,
  softmax,
  sqrt,
  sub,
  sum,
  type Tensor1D,
  type Tensor2D,
  tidy,
} from "@tensorflow/tfjs";
import {
  type FisherLoss,
  type Outputs,
  type TermWeight,
  unitAt,
  valuesOf,
  weightOf,
} from "./loss.ts";

/**
 * @param outputs `probabilities` for a model that ends in softmax.
 * @param weight w of a term: an example `[…, classes]` has as many as it has distributions.
 */
export function softmaxCrossEntropy(
  { outputs = "logits", weight = "mean" }: { outputs?: Outputs; weight?: TermWeight } = {},
): FisherLoss {
  const isLogits = outputs === "logits";
  const weightFor = (shape: readonly number[]) => weightOf(weight, valuesOf(shape) / shape.at(-1)!);
  return {
    name: "softmax_cross_entropy",
    activation: isLogits ? null : "softmax",

    loss(targets, outputs) {
      return tidy(() => {
        const logP = isLogits
          ? logSoftmax(outputs)
          : log(clipByValue(outputs, backend().epsilon(), 1));
        const total = neg(sum(mul(targets, logP)));
        return mul(total, weightFor(outputs.shape) / outputs.shape[0]) as Scalar;
      });
    },

    sample(z, seed) {
      return tidy(() => {
        const classes = z.shape.at(-1)!;
        const labels = drawLabels(reshape(z, [-1, classes]), seed);
        const chosen = reshape(oneHot(labels, classes), z.shape);
        return mul(sub(softmax(z), chosen), Math.sqrt(weightFor(z.shape)));
      });
    },

    columns: valuesOf,

    column(z, c) {
      return tidy(() => {
        const p = softmax(z);
        const unit = unitAt(c, z); // e_j in the term that c is of
        const itsTerm = sum(unit, -1, true);
        const root = sqrt(sum(mul(p, unit), -1, true));
        const column = mul(root, sub(unit, mul(p, itsTerm))); // √p_j (e_j − p)
        return mul(column, Math.sqrt(weightFor(z.shape)));
      });
    },
  };
}

/**
 * Draws a label a row from softmax(z), by Gumbel's argmax: argmax(z − log(−log u)).
 *
 * `multinomial` will not do: TensorFlow.js's cpu kernel starts its generator anew for every row, so
 * that all examples would share one draw.
 */
function drawLabels(z: Tensor2D, seed: number): Tensor1D {
  const u = randomUniform(z.shape, 0, 1, "float32", seed);
  return argMax(sub(z, log(neg(log(u)))), 1);
}
