/**
 * The network of the demo, its loss, and how it does.
 *
 * @module
 */
import {
  initializers,
  layers,
  losses,
  type Scalar,
  type Sequential,
  sequential,
  type Tensor,
  type Tensor2D,
  tidy,
} from "@tensorflow/tfjs";
import { type Batch, CLASSES, PIXELS } from "./mnist.ts";

export const WIDTHS = [PIXELS, 128, 64, CLASSES];

/** 784-128-64-10 with ReLU, answering logits; the same weights for the same seed. */
export function network(seed: number): Sequential {
  const last = WIDTHS.length - 2;
  return sequential({
    layers: WIDTHS.slice(1).map((units, index) =>
      layers.dense({
        units,
        inputShape: index === 0 ? [PIXELS] : undefined,
        activation: index === last ? "linear" : "relu",
        kernelInitializer: initializers.glorotUniform({ seed: seed * WIDTHS.length + index }),
      })
    ),
  });
}

/** Softmax cross-entropy of logits `[n, 10]`, the mean over the batch. */
export function crossEntropy(labels: Tensor2D, logits: Tensor): Scalar {
  return losses.softmaxCrossEntropy(labels, logits) as Scalar;
}

/** Loss, and the share of digits that are told right. */
export interface Score {
  readonly loss: number;
  readonly accuracy: number;
}

export function score(model: Sequential, { images, labels }: Batch): Score {
  return tidy(() => {
    const logits = model.apply(images) as Tensor2D;
    const right = logits.argMax(1).equal(labels.argMax(1)).toFloat().mean() as Scalar;
    return {
      loss: crossEntropy(labels, logits).dataSync()[0],
      accuracy: right.dataSync()[0],
    };
  });
}
