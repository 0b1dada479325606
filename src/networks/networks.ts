/**
 * The networks that are trained here, all on images `[n, 784]`, all answering logits.
 *
 * Auto-encoders: widths and linear code of Hinton & Salakhutdinov 2006; rectified units and Glorot's
 * uniform first weights as Koroko et al. 2022 (arXiv:2201.10285) have them, whose last sigmoid belongs
 * to the loss here.
 *
 * Departs from the latter: they rectify the code too. Six rectified units are soon dead, and then an
 * image is answered by the mean of all.
 *
 * @module
 */
import { initializers, layers, type Sequential, sequential } from "@tensorflow/tfjs";
import { PIXELS, SIDE } from "@/datasets/mod.ts";

/** From the image to the code; the decoder mirrors them. */
export const MNIST_CODE = [PIXELS, 1000, 500, 250, 30];
export const CURVES_CODE = [PIXELS, 400, 200, 100, 50, 25, 6];
export const MLP_WIDTHS = [PIXELS, 128, 64, 10];

/** ReLU between layers of these widths, the last one linear; the same weights for the same seed. */
export function multilayerPerceptron(widths: readonly number[], seed: number): Sequential {
  return denseLayers(widths, [widths.length - 2], seed);
}

/** There and back: 784-…-code-…-784, linear at the code and at the end. */
export function autoEncoder(widths: readonly number[], seed: number): Sequential {
  const all = [...widths, ...widths.slice(0, -1).reverse()];
  return denseLayers(all, [widths.length - 2, all.length - 2], seed);
}

/** @param linear places of the layers without ReLU. */
function denseLayers(
  widths: readonly number[],
  linear: readonly number[],
  seed: number,
): Sequential {
  return sequential({
    layers: widths.slice(1).map((units, index) =>
      layers.dense({
        units,
        inputShape: index === 0 ? [widths[0]] : undefined,
        activation: linear.includes(index) ? "linear" : "relu",
        kernelInitializer: glorot(seed, widths.length, index),
      })
    ),
  });
}

/**
 * 8 and 16 filters of 5×5, each with stride 2, then 10 classes.
 *
 * Strides stand where the nets of KFC's paper pool: TensorFlow.js's pooling on a CPU would take longer
 * than all that is to be measured.
 */
export function convNet(seed: number): Sequential {
  const convolution = (filters: number, index: number) =>
    layers.conv2d({
      filters,
      kernelSize: 5,
      strides: 2,
      padding: "same",
      activation: "relu",
      kernelInitializer: glorot(seed, 3, index),
    });
  return sequential({
    layers: [
      layers.reshape({ inputShape: [PIXELS], targetShape: [SIDE, SIDE, 1] }),
      convolution(8, 0),
      convolution(16, 1),
      layers.flatten(),
      layers.dense({ units: 10, kernelInitializer: glorot(seed, 3, 2) }),
    ],
  });
}

/** @param count of layers: seeds of different nets do not share a layer's draw. */
function glorot(seed: number, count: number, index: number) {
  return initializers.glorotUniform({ seed: seed * count + index });
}
