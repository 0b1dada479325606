/**
 * The losses whose output gradients make the Fisher matrix.
 *
 *   F = E_x E_{y ~ p(y|x)} [∇ log p(y|x) ∇ log p(y|x)ᵀ]
 *
 * The labels y are the model's own, not the data's: with those it would be the empirical Fisher.
 *
 * Source: Martens & Grosse 2015, arXiv:1503.05671, section 5.
 *
 * @module
 */
import {
  argMax,
  customGrad,
  log,
  logSoftmax,
  mean,
  neg,
  oneHot,
  randomUniform,
  type Scalar,
  softmax,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
} from "@tensorflow/tfjs";

/**
 * Softmax cross-entropy with one label an example, drawn from the model's own distribution.
 *
 * @param logits `[n, classes]`.
 * @param seed of the draw: the same seed and logits give the same labels.
 * @returns the mean over the batch; its gradient is `(softmax(logits) − onehot(y)) / n`.
 */
export function sampledCrossEntropy(logits: Tensor2D, seed: number): Scalar {
  // A gradient of its own: the draw has none, and the labels are no function of the logits.
  const loss = customGrad((x, save) => {
    const logits = x as Tensor2D;
    const [n, classes] = logits.shape;
    const chosen = oneHot(drawLabels(logits, seed), classes).toFloat();
    (save as (tensors: Tensor[]) => void)([logits, chosen]);
    return {
      value: neg(mean(sum(logSoftmax(logits).mul(chosen), 1))),
      gradFunc: (dy: Tensor, saved: Tensor[]) => {
        const [logits, chosen] = saved;
        return sub(softmax(logits as Tensor2D), chosen).mul(dy.div(n));
      },
    };
  });
  return loss(logits) as Scalar;
}

/**
 * Draws a label an example from softmax(logits), by Gumbel's argmax: argmax(logits − log(−log u)).
 *
 * `multinomial` will not do: TensorFlow.js's cpu kernel starts its generator anew for every row, so
 * that all examples would share one draw.
 */
function drawLabels(logits: Tensor2D, seed: number): Tensor1D {
  const u = randomUniform(logits.shape, 0, 1, "float32", seed);
  return argMax(sub(logits, log(neg(log(u)))), 1);
}
