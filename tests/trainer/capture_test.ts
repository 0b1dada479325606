/** What is captured of a model, against tfjs's own gradients and against finite differences. */
import {
  deepStrictEqual as deepEqual,
  notStrictEqual as notEqual,
  ok,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import {
  captureGradients,
  captureStatistics,
  denseLayers,
  disposeStatistics,
  sampledCrossEntropy,
} from "@/trainer/mod.ts";

await tf.setBackend("cpu");

const n = 7;
const inputs = tf.randomNormal<tf.Rank.R2>([n, 5], 0, 1, "float32", 11);
const labels = tf.oneHot(tf.tensor1d([0, 1, 2, 1, 0, 2, 2], "int32"), 3).toFloat();

/** 5-4-3 with these activations, the first layer's bias as asked. */
function net(activation: "relu" | "tanh" | "sigmoid" | "elu" | "linear", useBias = true) {
  const initializer = (seed: number) => tf.initializers.glorotNormal({ seed });
  return tf.sequential({
    layers: [
      tf.layers.dense({
        units: 4,
        inputShape: [5],
        activation,
        useBias,
        kernelInitializer: initializer(1),
        biasInitializer: initializer(2),
      }),
      tf.layers.dense({ units: 3, kernelInitializer: initializer(3) }),
    ],
  });
}

const crossEntropy = (logits: tf.Tensor) =>
  tf.losses.softmaxCrossEntropy(labels, logits) as tf.Scalar;

function closeTo(actual: tf.Tensor, expected: tf.Tensor, tolerance: number): void {
  deepEqual(actual.shape, expected.shape);
  const distance = tf.norm(tf.sub(actual, expected)).dataSync()[0];
  const size = tf.norm(expected).dataSync()[0];
  ok(size > 0 && distance <= tolerance * size, `${distance} beside ${size}`);
}

for (const activation of ["relu", "tanh", "sigmoid", "elu", "linear"] as const) {
  Deno.test(`Σ a gᵀ and Σ g of captured statistics are tfjs's own gradients, ${activation}`, () => {
    const model = net(activation);
    const { gradients, statistics, loss } = captureGradients(model, inputs, crossEntropy);
    const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
    const own = tf.variableGrads(() => crossEntropy(model.apply(inputs) as tf.Tensor), variables);
    equal(loss.dataSync()[0], own.value.dataSync()[0]);
    equal(statistics.size, 2);
    for (const { name, kernel, bias } of denseLayers(model)) {
      const { inputs, outputGradients } = statistics.get(name)!;
      closeTo(gradients[kernel.name], own.grads[kernel.name], 1e-6);
      closeTo(tf.matMul(inputs, outputGradients, true), own.grads[kernel.name], 1e-5);
      closeTo(tf.sum(outputGradients, 0), own.grads[bias!.name], 1e-5);
    }
  });
}

Deno.test("output gradients are the loss's differences by each pre-activation", () => {
  const model = net("tanh");
  const [hidden, last] = denseLayers(model);
  const { statistics } = captureGradients(model, inputs, crossEntropy);
  const { outputGradients } = statistics.get(hidden.name)!;

  const preActivations = tf.add(tf.matMul(inputs, hidden.kernel as tf.Tensor2D), hidden.bias!);
  const lossAt = (shift: tf.Tensor) => {
    const a = tf.tanh(tf.add(preActivations, shift)) as tf.Tensor2D;
    const logits = tf.add(tf.matMul(a, last.kernel as tf.Tensor2D), last.bias!);
    return crossEntropy(logits).dataSync()[0];
  };
  const h = 0.02; // float32 losses: below it rounding outweighs the third derivative
  const differences = Array.from({ length: n * 4 }, (_, at) => {
    const shift = tf.oneHot(tf.scalar(at, "int32"), n * 4).toFloat().reshape([n, 4]);
    return (lossAt(shift.mul(h)) - lossAt(shift.mul(-h))) / (2 * h);
  });
  closeTo(outputGradients, tf.tensor2d(differences, [n, 4]), 1e-3);
});

Deno.test("captureStatistics() gives what captureGradients() does, and nothing else lives on", () => {
  for (const useBias of [true, false]) {
    const model = net("relu", useBias);
    const { statistics: expected } = captureGradients(model, inputs, crossEntropy);
    const before = tf.memory().numTensors;
    const statistics = captureStatistics(model, inputs, crossEntropy);
    equal(tf.memory().numTensors, before + 4);
    for (const [name, { inputs, outputGradients }] of statistics) {
      deepEqual(inputs.dataSync(), expected.get(name)!.inputs.dataSync());
      deepEqual(outputGradients.dataSync(), expected.get(name)!.outputGradients.dataSync());
    }
    disposeStatistics(statistics);
    equal(tf.memory().numTensors, before);
  }
});

Deno.test("a captured model computes as before, also after a capture that failed", () => {
  const model = net("relu");
  const before = (model.apply(inputs) as tf.Tensor).dataSync();
  disposeStatistics(captureStatistics(model, inputs, crossEntropy));
  deepEqual((model.apply(inputs) as tf.Tensor).dataSync(), before);
  throws(() =>
    captureStatistics(model, inputs, () => {
      throw new Error("no loss");
    }), /no loss/);
  deepEqual((model.apply(inputs) as tf.Tensor).dataSync(), before);
});

Deno.test("a layer that is frozen is left out", () => {
  const model = net("relu");
  model.layers[0].trainable = false;
  deepEqual(denseLayers(model).map(({ name }) => name), [model.layers[1].name]);
});

Deno.test("a layer that is applied twice, or along a shared axis, is refused by name", () => {
  const input = tf.input({ shape: [5] });
  const shared = tf.layers.dense({ units: 5, name: "twice" });
  const outputs = shared.apply(shared.apply(input)) as tf.SymbolicTensor;
  const twice = tf.model({ inputs: input, outputs });
  const lossOf = (x: tf.Tensor) => tf.mean(x) as tf.Scalar;
  throws(() => captureStatistics(twice, inputs, lossOf), /"twice" .*applied only once/);

  const sequence = tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [3, 5] })] });
  const tokens = tf.ones([2, 3, 5]);
  throws(() => captureStatistics(sequence, tokens, lossOf), /must be \[n, d_in\].*\[2, 3, 5\]/);
});

Deno.test("sampledCrossEntropy() differentiates to (p − onehot(y))/n with one label an example", () => {
  const logits = tf.randomNormal<tf.Rank.R2>([n, 3], 0, 2, "float32", 5);
  const gradient = tf.grad((x) => sampledCrossEntropy(x as tf.Tensor2D, 3))(logits);
  const chosen = tf.sub(tf.softmax(logits), tf.mul(gradient, n));
  for (const row of chosen.arraySync() as number[][]) {
    const [none, none2, one] = row.sort((a, b) => a - b);
    ok(Math.abs(none) + Math.abs(none2) + Math.abs(one - 1) < 1e-5, `${row}`);
  }
});

Deno.test("sampledCrossEntropy() draws labels as often as the model expects them", () => {
  const p = [0.5, 0.3, 0.2];
  const count = 20_000;
  const logits = tf.tile(tf.tensor2d([p.map(Math.log)]), [count, 1]);
  const gradient = tf.grad((x) => sampledCrossEntropy(x as tf.Tensor2D, 1))(logits);
  const drawn = tf.sub(tf.tensor1d(p), tf.sum(gradient, 0)).dataSync();
  // 4 standard deviations of a share of 20 000 draws
  for (const [label, share] of drawn.entries()) ok(Math.abs(share - p[label]) < 0.0142, `${drawn}`);
});

Deno.test("sampledCrossEntropy() draws the same labels for the same seed, others for another", () => {
  const logits = tf.zeros<tf.Rank.R2>([50, 3]);
  const drawn = (seed: number) =>
    `${tf.grad((x) => sampledCrossEntropy(x as tf.Tensor2D, seed))(logits).dataSync()}`;
  equal(drawn(4), drawn(4));
  notEqual(drawn(4), drawn(5));
});
