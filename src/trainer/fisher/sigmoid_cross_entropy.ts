/**
 * Sigmoid cross-entropy: `ℓ(y, z) = −y log p − (1−y) log(1−p)`, `p = σ(z)`, every output a term.
 *
 *   ∂²ℓ/∂z² = p(1−p),   S = √(p(1−p));   sampled: g = p − y, y ~ Bernoulli(p)
 *
 * @module
 */
import {
  add,
  backend,
  cast,
  clipByValue,
  less,
  log,
  mul,
  neg,
  randomUniform,
  type Scalar,
  sigmoid,
  softplus,
  sqrt,
  sub,
  sum,
  type Tensor,
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
 * @param outputs `probabilities` for a model that ends in sigmoid.
 * @param weight w of a term; 1 is the sum over outputs of the auto-encoders' papers.
 */
export function sigmoidCrossEntropy(
  { outputs = "logits", weight = "mean" }: { outputs?: Outputs; weight?: TermWeight } = {},
): FisherLoss {
  const isLogits = outputs === "logits";
  const weightFor = (shape: readonly number[]) => weightOf(weight, valuesOf(shape));
  return {
    name: "sigmoid_cross_entropy",
    activation: isLogits ? null : "sigmoid",

    loss(targets, outputs) {
      return tidy(() => {
        const terms = isLogits ? ofLogits(targets, outputs) : ofProbabilities(targets, outputs);
        return mul(sum(terms), weightFor(outputs.shape) / outputs.shape[0]) as Scalar;
      });
    },

    sample(z, seed) {
      return tidy(() => {
        const p = sigmoid(z);
        const y = cast(less(randomUniform(z.shape, 0, 1, "float32", seed), p), "float32");
        return mul(sub(p, y), Math.sqrt(weightFor(z.shape)));
      });
    },

    columns: valuesOf,

    column(z, c) {
      return tidy(() => {
        const variance = mul(sigmoid(z), sigmoid(neg(z))); // 1 − p would be 0 where p rounds to 1
        return mul(mul(sqrt(variance), unitAt(c, z)), Math.sqrt(weightFor(z.shape)));
      });
    },
  };
}

/** softplus has σ as its gradient also at 0, where the usual max(z, 0) + log(1 + exp(−|z|)) has none. */
function ofLogits(y: Tensor, z: Tensor): Tensor {
  return sub(softplus(z), mul(y, z));
}

function ofProbabilities(y: Tensor, outputs: Tensor): Tensor {
  const epsilon = backend().epsilon();
  const p = clipByValue(outputs, epsilon, 1 - epsilon);
  return neg(add(mul(y, log(p)), mul(sub(1, y), log(sub(1, p)))));
}
