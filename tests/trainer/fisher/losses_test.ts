/** Losses against TensorFlow.js's own, their square roots against the Hessian, their draws against the square roots. */
import {
  deepStrictEqual as deepEqual,
  notDeepStrictEqual as notDeepEqual,
  ok,
} from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import {
  type FisherLoss,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  squaredError,
} from "@/trainer/fisher/mod.ts";
import { distance, norm } from "../../support/dense.ts";

await tf.setBackend("cpu");

const n = 3;
/** z of every loss, with the targets that go with it. */
const z = {
  rows: tf.randomNormal([n, 4], 0, 2, "float32", 1),
  places: tf.randomNormal([n, 2, 3], 0, 2, "float32", 2),
};
const targets = (like: tf.Tensor) => tf.softmax(tf.randomNormal(like.shape, 0, 2, "float32", 3));

function closeTo(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5): void {
  const [error, size] = [distance(actual, expected), norm(expected)];
  ok(size > 0 && error <= tolerance * size, `${error} beside ${size}`);
}

type Values = (y: tf.Tensor, z: tf.Tensor) => tf.Tensor;

/** Expects the same value and gradient of two losses. */
function expectSame(actual: Values, expected: Values, y: tf.Tensor, z: tf.Tensor): void {
  closeTo(actual(y, z).dataSync(), expected(y, z).dataSync());
  const gradient = (of: Values) => tf.grad((z) => of(y, z))(z).dataSync();
  closeTo(gradient(actual), gradient(expected));
}

/** `∂²l_b/∂z²` of example b by central differences of the loss's gradient. */
function hessian(loss: FisherLoss, all: tf.Tensor, b: number): number[] {
  const one = tf.slice(all, [b], [1]);
  const y = targets(one);
  const gradient = tf.grad((z) => loss.loss(y, z));
  const h = 1e-2;
  return Array.from({ length: one.size }, (_, at) => {
    const step = tf.oneHot(tf.tensor1d([at], "int32"), one.size).toFloat().reshape(one.shape);
    const [up, down] = [h, -h].map((size) => gradient(tf.add(one, tf.mul(step, size))).dataSync());
    return Array.from(up, (value, other) => (value - down[other]) / (2 * h));
  }).flat();
}

/** `S Sᵀ` of example b. */
function squared(loss: FisherLoss, all: tf.Tensor, b: number): number[] {
  const S = Array.from({ length: loss.columns(all.shape) }, (_, c) => loss.column(all, c));
  const rows = S.map((column) => tf.slice(column, [b], [1]).flatten());
  return [...tf.matMul(tf.stack(rows), tf.stack(rows), true).dataSync()];
}

const LOSSES: Record<string, FisherLoss> = {
  "softmax cross-entropy": softmaxCrossEntropy(),
  "softmax cross-entropy, summed": softmaxCrossEntropy({ weight: 1 }),
  "sigmoid cross-entropy": sigmoidCrossEntropy(),
  "sigmoid cross-entropy, summed": sigmoidCrossEntropy({ weight: 1 }),
  "squared error": squaredError(),
  "half the squared error, summed": squaredError({ weight: 0.5 }),
};

for (const [name, loss] of Object.entries(LOSSES)) {
  for (const [shape, logits] of Object.entries(z)) {
    Deno.test(`the columns of ${name} are a square root of its Hessian, ${shape}`, () => {
      for (let b = 0; b < n; b++) {
        closeTo(squared(loss, logits, b), hessian(loss, logits, b), 2e-3); // of the differences
      }
    });
  }

  Deno.test(`the second moment of ${name}'s draws is its Hessian`, () => {
    const count = 40_000;
    const one = tf.slice(z.rows, [0], [1]);
    const g = loss.sample(tf.tile(one, [count, 1]), 7);
    const moment = tf.matMul(g as tf.Tensor2D, g as tf.Tensor2D, true).div(count);
    // a relative standard deviation of a few over √40 000
    closeTo(moment.dataSync(), squared(loss, one, 0), 0.03);
    ok(norm(tf.mean(g, 0).dataSync()) < 0.03 * Math.sqrt(norm(moment.dataSync())), "biased");
  });

  Deno.test(`${name} draws the same for the same seed and logits, else for every example anew`, () => {
    const logits = tf.zeros([30, 2, 3]);
    const drawn = (seed: number) => [...loss.sample(logits, seed).dataSync()];
    deepEqual(drawn(4), drawn(4));
    notDeepEqual(drawn(4), drawn(5));
    const g = loss.sample(logits, 4);
    const rows = tf.unstack(g.reshape([30, -1])).map((row) => `${row.dataSync()}`);
    ok(new Set(rows).size > 5, "examples share a draw");
  });
}

Deno.test("softmaxCrossEntropy() is TensorFlow.js's loss, of logits and of probabilities", () => {
  const y = targets(z.rows);
  expectSame(softmaxCrossEntropy().loss, tf.losses.softmaxCrossEntropy, y, z.rows);
  const ofProbabilities = softmaxCrossEntropy({ outputs: "probabilities" });
  const through: Values = (y, z) => ofProbabilities.loss(y, tf.softmax(z));
  expectSame(through, tf.losses.softmaxCrossEntropy, y, z.rows);
  const places = targets(z.places);
  expectSame(softmaxCrossEntropy().loss, tf.losses.softmaxCrossEntropy, places, z.places);
});

Deno.test("sigmoidCrossEntropy() is TensorFlow.js's loss, of logits and of probabilities", () => {
  const y = targets(z.places);
  expectSame(sigmoidCrossEntropy().loss, tf.losses.sigmoidCrossEntropy, y, z.places);
  const ofProbabilities = sigmoidCrossEntropy({ outputs: "probabilities" });
  const through: Values = (y, z) => ofProbabilities.loss(y, tf.sigmoid(z));
  expectSame(through, tf.losses.sigmoidCrossEntropy, y, z.places);
});

Deno.test("sigmoidCrossEntropy() has the gradient p − y also where a logit is 0", () => {
  const gradient = tf.grad((z) => sigmoidCrossEntropy({ weight: 1 }).loss(tf.tensor2d([[1]]), z));
  closeTo(gradient(tf.tensor2d([[0]])).dataSync(), [-0.5]);
});

Deno.test("squaredError() is TensorFlow.js's meanSquaredError", () => {
  expectSame(squaredError().loss, tf.losses.meanSquaredError, targets(z.places), z.places);
});
