/** Which layers have a block, how it is described, and how gradients and updates pass through it. */
import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { ModelCapture, type UncoveredLayer } from "@/trainer/capture/mod.ts";

await tf.setBackend("cpu");

const named = (layers: readonly { name: string }[]) => layers.map(({ name }) => name);
const silent = { onUncovered: () => {} };

Deno.test("a block is described as the wire wants it, with its sizes", () => {
  const layers = [
    tf.layers.depthwiseConv2d({ kernelSize: [2, 3], depthMultiplier: 2, inputShape: [8, 9, 3] }),
    tf.layers.conv2d({
      filters: 4,
      kernelSize: [3, 2],
      strides: [1, 2],
      padding: "same",
      useBias: false,
    }),
    tf.layers.batchNormalization(),
    tf.layers.flatten(),
    tf.layers.dense({ units: 5 }),
  ] as tf.layers.Layer[];
  const { blocks } = new ModelCapture(tf.sequential({ layers }));
  const conv2d = { kind: "conv2d", layout: "hwio", data_format: "nhwc" };
  deepEqual(blocks.map(({ description }) => description), [
    {
      ...conv2d,
      kernel_size: [2, 3],
      strides: [1, 1],
      padding: "valid",
      dilations: [1, 1],
      groups: 3,
      bias: true,
    },
    {
      ...conv2d,
      kernel_size: [3, 2],
      strides: [1, 2],
      padding: "same",
      dilations: [1, 1],
      groups: 1,
      bias: false,
    },
    { kind: "scale_and_shift", features: 4, block: "diagonal" },
    { kind: "dense", layout: "io", bias: true },
  ]);
  deepEqual(blocks.map(({ sizes }) => sizes), [
    { c_in: 3, c_out: 6, image: [8, 9] },
    { c_in: 6, c_out: 4, image: [7, 7] },
    {},
    { d_in: 7 * 4 * 4, d_out: 5 },
  ]);

  const table = tf.sequential({
    layers: [tf.layers.embedding({ inputDim: 9, outputDim: 2, inputLength: 3 })],
  });
  const [embedding] = new ModelCapture(table).blocks;
  deepEqual(embedding.description, { kind: "embedding", vocabulary: 9 });
  deepEqual(embedding.sizes, { d_out: 2 });
});

Deno.test("an image that the model leaves open is left out of the sizes", () => {
  const layers = [tf.layers.conv2d({ filters: 2, kernelSize: 3, inputShape: [null, null, 1] })];
  const [block] = new ModelCapture(tf.sequential({ layers })).blocks;
  deepEqual(block.sizes, { c_in: 1, c_out: 2 });
});

Deno.test("an update taken from a gradient is the gradient, in every variable's shape", () => {
  const layers = [
    tf.layers.depthwiseConv2d({ kernelSize: 2, depthMultiplier: 2, inputShape: [4, 4, 3] }),
    tf.layers.layerNormalization({ axis: [1, 3] }),
    tf.layers.flatten(),
    tf.layers.dense({ units: 2 }),
    tf.layers.dense({ units: 2, useBias: false }),
  ] as tf.layers.Layer[];
  const model = tf.sequential({ layers });
  const gradients = Object.fromEntries(model.trainableWeights.map((weight, seed) => [
    (weight.read() as tf.Variable).name,
    tf.randomNormal(weight.shape as number[], 0, 1, "float32", seed),
  ]));
  const wireShapes = new ModelCapture(model).blocks.map((block) => {
    const { gradient, bias_gradient } = block.gradientOf(gradients)!;
    const updates = block.updateOf({ update: gradient, bias_update: bias_gradient });
    for (const [name, update] of Object.entries(updates)) {
      deepEqual(update.shape, gradients[name].shape);
      deepEqual(update.dataSync(), gradients[name].dataSync());
      delete gradients[name];
    }
    return [gradient.shape, bias_gradient?.shape];
  });
  deepEqual(wireShapes, [
    [[2, 2, 1, 6], [6]],
    [[18], [18]],
    [[54, 2], [2]],
    [[2, 2], undefined],
  ]);
  deepEqual(Object.keys(gradients), []);
});

Deno.test("layers of nested models are named by their path, in the model's order, and a shared one once", () => {
  const dense = (name: string, more: object = {}) => tf.layers.dense({ units: 3, name, ...more });
  const inner = tf.sequential({
    name: "inner",
    layers: [dense("a", { inputShape: [3] }), dense("b")],
  });
  const input = tf.input({ shape: [3] });
  const before = dense("a"), after = dense("c");
  const outputs = [before, inner, after, inner, after]
    .reduce((x, layer) => layer.apply(x) as tf.SymbolicTensor, input);
  const model = tf.model({ inputs: input, outputs });
  const { blocks } = new ModelCapture(model);
  deepEqual(named(blocks), ["a", "inner/a", "inner/b", "c"]);
});

Deno.test("frozen layers are left out, and a frozen bias of a trained kernel", () => {
  const layers = [
    tf.layers.dense({ units: 3, inputShape: [3], name: "frozen" }),
    tf.layers.dense({ units: 3, name: "trained" }),
  ];
  layers[0].trainable = false;
  const model = tf.sequential({ layers });
  const [, bias] = layers[1].trainableWeights;
  (bias as unknown as { trainable: boolean }).trainable = false;
  const capture = new ModelCapture(model);
  deepEqual(named(capture.blocks), ["trained"]);
  deepEqual(capture.uncovered, []);
  equal(capture.blocks[0].bias, null);
  deepEqual(capture.blocks[0].description, { kind: "dense", layout: "io", bias: false });
  const inputs = tf.ones([2, 3]);
  const { gradients, statistics } = capture.gradients(
    () => tf.mean(model.apply(inputs) as tf.Tensor) as tf.Scalar,
    { statistics: { fisher: "empirical" } },
  );
  deepEqual(Object.keys(gradients), [capture.blocks[0].kernel.name]);
  deepEqual([...statistics!.layers.keys()], ["trained"]);
});

Deno.test("a trained layer without a block is named once, with its variables, and has its plain gradient", () => {
  const layers = [
    tf.layers.separableConv2d({
      filters: 2,
      kernelSize: 2,
      inputShape: [4, 4, 1],
      name: "separable",
    }),
    tf.layers.reshape({ targetShape: [9, 2] }),
    tf.layers.timeDistributed({ layer: tf.layers.dense({ units: 2 }), name: "distributed" }),
    tf.layers.lstm({ units: 2, name: "lstm" }),
    tf.layers.dense({ units: 2, name: "dense" }),
  ];
  const model = tf.sequential({ layers });
  const told: UncoveredLayer[] = [];
  const capture = new ModelCapture(model, { onUncovered: (layer) => told.push(layer) });
  deepEqual(named(capture.blocks), ["dense"]);
  deepEqual(named(told), ["separable", "distributed", "lstm"]);
  deepEqual(told, capture.uncovered);
  deepEqual(told.map(({ className }) => className), ["SeparableConv2D", "TimeDistributed", "LSTM"]);
  equal(told.flatMap(({ variables }) => variables).length, model.trainableWeights.length - 2);

  const inputs = tf.randomNormal([2, 4, 4, 1]);
  const lossOf = () => tf.mean(tf.square(model.apply(inputs) as tf.Tensor)) as tf.Scalar;
  const { gradients } = capture.gradients(lossOf, { statistics: { fisher: "empirical" } });
  const own = tf.variableGrads(lossOf).grads;
  for (const { name } of told.flatMap(({ variables }) => variables)) {
    deepEqual(gradients[name].dataSync(), own[name].dataSync());
  }
  equal(told.length, 3);
});

Deno.test("a layer that is excluded keeps its plain gradient; a name that is no layer's is refused", () => {
  const layers = ["a", "b"].map((name) => tf.layers.dense({ units: 3, inputShape: [3], name }));
  const model = tf.sequential({ layers });
  const capture = new ModelCapture(model, { ...silent, exclude: ["a"] });
  deepEqual(named(capture.blocks), ["b"]);
  deepEqual(named(capture.uncovered), ["a"]);
  throws(
    () => new ModelCapture(model, { exclude: ["c"] }),
    /exclude layer "c" .*: they are "a", "b"/,
  );
});

Deno.test("an uncovered layer is warned of by default", () => {
  const warned: string[] = [];
  const { warn } = console;
  console.warn = (line: string) => warned.push(line);
  try {
    const layers = [tf.layers.simpleRNN({ units: 2, inputShape: [3, 2], name: "recurrent" })];
    new ModelCapture(tf.sequential({ layers }));
  } finally {
    console.warn = warn;
  }
  equal(warned.length, 1);
  equal(/"recurrent" \(SimpleRNN\)/.test(warned[0]), true);
});
