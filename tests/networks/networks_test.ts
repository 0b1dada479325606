/** The nets, and the batches they take. */
import {
  deepStrictEqual as deepEqual,
  notDeepStrictEqual as notDeepEqual,
  strictEqual as equal,
} from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import type { LabelledImages } from "@/datasets/mod.ts";
import {
  autoEncoder,
  batchesOf,
  batchOf,
  convNet,
  CURVES_CODE,
  MLP_WIDTHS,
  MNIST_CODE,
  multilayerPerceptron,
  reconstructionBatchOf,
} from "@/networks/mod.ts";

await tf.setBackend("cpu");

const images: LabelledImages = {
  count: 4,
  pixels: Uint8Array.from({ length: 4 * 784 }, (_, at) => at % 256),
  labels: Uint8Array.of(7, 2, 1, 0),
  classes: 10,
};

Deno.test("batchOf() gives the images at the places asked for, scaled to 1, with their classes", () => {
  const { inputs, targets } = batchOf(images, Uint32Array.of(3, 0));
  deepEqual([inputs.shape, targets.shape], [[2, 784], [2, 10]]);
  deepEqual([...targets.argMax(1).dataSync()], [0, 7]);
  const pixels = images.pixels.subarray(3 * 784, 4 * 784);
  deepEqual(inputs.dataSync().slice(0, 784), Float32Array.from(pixels, (pixel) => pixel / 255));
  tf.dispose([inputs, targets]);
});

Deno.test("reconstructionBatchOf() asks for the images themselves", () => {
  const { inputs, targets } = reconstructionBatchOf(images, Uint32Array.of(2));
  equal(inputs, targets);
  equal(inputs.dataSync()[5], Math.fround(images.pixels[2 * 784 + 5] / 255));
  tf.dispose(inputs);
});

Deno.test("batchesOf() gives every place once an epoch, whole batches alone, then another order", () => {
  const batches = batchesOf(7, 3, 1, (places) => [...places]);
  const next = () => [batches.next().value, batches.next().value].flat();
  const [first, second] = [next(), next()];
  equal(new Set(first).size, 6);
  equal(new Set(second).size, 6);
  notDeepEqual(first, second);
  const again = batchesOf(7, 3, 1, (places) => [...places]);
  deepEqual([again.next().value, again.next().value].flat(), first);
});

Deno.test("nets have the sizes of their papers", () => {
  const parameters = (widths: readonly number[]) =>
    widths.slice(1).reduce((sum, width, at) => sum + (widths[at] + 1) * width, 0);
  const mirrored = (widths: readonly number[]) => [...widths, ...widths.slice(0, -1).reverse()];
  equal(parameters(mirrored(MNIST_CODE)), 2_837_314); // Hinton & Salakhutdinov's 784-1000-500-250-30
  const cases: [tf.Sequential, number][] = [
    [multilayerPerceptron(MLP_WIDTHS, 1), 785 * 128 + 129 * 64 + 65 * 10],
    [autoEncoder(MNIST_CODE, 1), 2_837_314],
    [autoEncoder(CURVES_CODE, 1), parameters(mirrored([784, 400, 200, 100, 50, 25, 6]))],
    [convNet(1), (25 + 1) * 8 + (25 * 8 + 1) * 16 + (7 * 7 * 16 + 1) * 10],
  ];
  for (const [net, count] of cases) {
    equal(net.countParams(), count);
    net.dispose();
  }
});

Deno.test("first weights follow from the seed", () => {
  for (const make of [convNet, (seed: number) => multilayerPerceptron(MLP_WIDTHS, seed)]) {
    const weights = (seed: number) => make(seed).getWeights().map((tensor) => tensor.dataSync());
    deepEqual(weights(1), weights(1));
    notDeepEqual(weights(1)[0], weights(2)[0]);
  }
});
