/**
 * Small models that hold every kind of layer that is captured, in every way it is used.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs";

export interface Specimen {
  readonly name: string;
  readonly model: tf.LayersModel;
  /** One for each of the model's. */
  readonly inputs: tf.Tensor[];
  /** `[n, classes]` or `[n, s, classes]`: a distribution a row. */
  readonly targets: tf.Tensor;
}

export const N = 4;
const CLASSES = 3;
const VOCABULARY = 7;

/** Initialisers that leave nothing zero: a bias that is never moved would hide an error in its gradient. */
function initialised<C extends object>(config: C, seed: number): C {
  const of = (offset: number) => tf.initializers.randomNormal({ stddev: 0.5, seed: seed + offset });
  return {
    ...config,
    kernelInitializer: of(0),
    depthwiseInitializer: of(1),
    biasInitializer: of(2),
    embeddingsInitializer: of(3),
    gammaInitializer: of(4),
    betaInitializer: of(5),
  };
}

const dense = (units: number, more: object = {}) =>
  tf.layers.dense(initialised({ units, ...more }, 10));
const conv2d = (filters: number, kernelSize: number | [number, number], more: object = {}) =>
  tf.layers.conv2d(initialised({ filters, kernelSize, ...more }, 20));
const depthwise = (kernelSize: number, more: object = {}) =>
  tf.layers.depthwiseConv2d(
    initialised({ kernelSize, ...more }, 30) as Parameters<typeof tf.layers.depthwiseConv2d>[0],
  );
const embedding = (more: object = {}) =>
  tf.layers.embedding(initialised({ inputDim: VOCABULARY, outputDim: 3, ...more }, 40));
const batchNorm = (more: object = {}) => tf.layers.batchNormalization(initialised({ ...more }, 50));
const layerNorm = (more: object = {}) => tf.layers.layerNormalization(initialised({ ...more }, 60));

/** Of images and sequences. */
const head = () => [tf.layers.flatten(), dense(CLASSES)];

const apply = (layer: tf.layers.Layer, x: tf.SymbolicTensor | tf.SymbolicTensor[]) =>
  layer.apply(x) as tf.SymbolicTensor;
const chain = (x: tf.SymbolicTensor, ...layers: tf.layers.Layer[]) =>
  layers.reduce((y, layer) => apply(layer, y), x);

/** A functional model of a chain of layers. */
function chained(shape: number[], ...layers: tf.layers.Layer[]): tf.LayersModel {
  const inputs = tf.input({ shape });
  return tf.model({ inputs, outputs: chain(inputs, ...layers) });
}

function usedTwice(shape: number[], layer: tf.layers.Layer, ...rest: tf.layers.Layer[]) {
  const inputs = tf.input({ shape });
  const once = apply(layer, inputs);
  const twice = apply(layer, apply(tf.layers.activation({ activation: "tanh" }), once));
  return tf.model({ inputs, outputs: chain(apply(tf.layers.add(), [once, twice]), ...rest) });
}

const MODELS: Record<string, () => tf.LayersModel> = {
  "dense, relu": () => chained([5], dense(4, { activation: "relu" }), dense(CLASSES)),
  "dense, elu": () => chained([5], dense(4, { activation: "elu" }), dense(CLASSES)),
  "dense, sigmoid, no bias": () =>
    chained([5], dense(4, { activation: "sigmoid", useBias: false }), dense(CLASSES)),
  "dense, softmax inside": () => chained([5], dense(4, { activation: "softmax" }), dense(CLASSES)),
  "dense, along a shared axis": () =>
    chained([2, 5], dense(4, { activation: "tanh" }), dense(CLASSES)),
  "dense, along two shared axes": () =>
    chained([2, 3, 5], dense(4, { activation: "tanh" }), ...head()),
  "dense, used twice": () => usedTwice([5], dense(5, { activation: "tanh" }), dense(CLASSES)),
  "dense, used twice along a shared axis": () =>
    usedTwice([2, 5], dense(5, { activation: "tanh" }), dense(CLASSES)),
  "conv2d, same": () =>
    chained(
      [4, 5, 2],
      conv2d(3, 3, { padding: "same", activation: "relu" }),
      ...head(),
    ),
  "conv2d, strides": () =>
    chained([5, 6, 2], conv2d(3, [2, 3], { strides: [2, 1], activation: "tanh" }), ...head()),
  "conv2d, no bias": () => chained([4, 5, 2], conv2d(3, 2, { useBias: false }), ...head()),
  "conv2d, channels first": () =>
    chained(
      [2, 4, 5],
      conv2d(3, 3, { dataFormat: "channelsFirst", activation: "softmax" }),
      ...head(),
    ),
  "conv2d, used twice": () =>
    usedTwice([4, 4, 2], conv2d(2, 3, { padding: "same", activation: "elu" }), ...head()),
  "depthwise": () =>
    chained([5, 4, 2], depthwise(3, { depthMultiplier: 2, activation: "tanh" }), ...head()),
  "depthwise, channels first, strides": () =>
    chained(
      [2, 6, 5],
      depthwise(3, { dataFormat: "channelsFirst", strides: [2, 2], padding: "same" }),
      ...head(),
    ),
  "depthwise, used twice": () => usedTwice([4, 4, 2], depthwise(3, { padding: "same" }), ...head()),
  "embedding": () => chained([5], embedding(), ...head()),
  "embedding, two axes": () => chained([2, 2], embedding(), ...head()),
  "embedding, masking zero": () => chained([5], embedding({ maskZero: true }), ...head()),
  "embedding, used twice": () => {
    const [left, right] = [tf.input({ shape: [5] }), tf.input({ shape: [2] })];
    const table = embedding();
    const both = tf.layers.concatenate({ axis: 1 });
    const joined = apply(both, [apply(table, left), apply(table, right)]);
    return tf.model({ inputs: [left, right], outputs: chain(joined, ...head()) });
  },
  "batch normalization": () => chained([5], batchNorm(), dense(CLASSES)),
  "batch normalization of images": () => chained([3, 4, 2], batchNorm(), ...head()),
  "layer normalization": () => chained([5], layerNorm(), dense(CLASSES)),
  "layer normalization of a sequence": () => chained([3, 5], layerNorm(), ...head()),
  "layer normalization over two axes": () =>
    chained([2, 3, 4], layerNorm({ axis: [3, 1] }), ...head()),
  "layer normalization, used twice": () => usedTwice([5], layerNorm(), dense(CLASSES)),
  "a nested model": () => {
    const inner = tf.sequential({
      layers: [dense(4, { inputShape: [5], activation: "tanh" }), layerNorm()],
    });
    return chained([5], inner, dense(CLASSES));
  },
};

/** A specimen by name, new each time: its variables are the caller's. */
export function specimen(name: string): Specimen {
  const model = MODELS[name]();
  const inputs = model.inputs.map(({ shape }, at) => {
    const sides = [N, ...shape.slice(1) as number[]];
    return name.startsWith("embedding")
      ? tf.randomUniform(sides, 0, VOCABULARY, "int32", 70 + at)
      : tf.randomNormal(sides, 0.3, 1, "float32", 70 + at);
  });
  const targets = tf.softmax(
    tf.randomNormal([N, ...model.outputs[0].shape.slice(1) as number[]], 0, 2, "float32", 80),
  );
  return { name, model, inputs, targets };
}

export const SPECIMENS = Object.keys(MODELS);
