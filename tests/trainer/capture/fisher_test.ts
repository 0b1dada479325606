/** Sampled and exact statistics of whole models: against the dense Gauss-Newton matrix, and the draws they were given. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal, throws } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { ModelCapture, type Statistics } from "@/trainer/capture/mod.ts";
import {
  type FisherLoss,
  sigmoidCrossEntropy,
  softmaxCrossEntropy,
  squaredError,
} from "@/trainer/fisher/mod.ts";
import { type Dense, distance, norm } from "../../support/dense.ts";
import { rowGradients } from "./dense_gradient.ts";

await tf.setBackend("cpu");

const n = 3;

interface Case {
  readonly model: tf.Sequential;
  readonly inputs: tf.Tensor;
}

const dense = (units: number, more: object = {}) =>
  tf.layers.dense({
    units,
    kernelInitializer: tf.initializers.randomNormal({ seed: 1, stddev: 0.7 }),
    biasInitializer: tf.initializers.randomNormal({ seed: 2, stddev: 0.7 }),
    ...more,
  });

function perceptron(activation: "linear" | "softmax" | "sigmoid" = "linear"): Case {
  const layers = [dense(3, { inputShape: [4], activation: "tanh" }), dense(3, { activation })];
  return { model: tf.sequential({ layers }), inputs: tf.randomNormal([n, 4], 0, 1, "float32", 3) };
}

/** Its outputs `[n, 2, 3]` depend on all places. */
function sequence(): Case {
  const layers = [
    tf.layers.flatten({ inputShape: [2, 3] }),
    dense(6, { activation: "tanh" }),
    tf.layers.reshape({ targetShape: [2, 3] }),
    dense(3),
  ];
  return {
    model: tf.sequential({ layers }),
    inputs: tf.randomNormal([n, 2, 3], 0, 1, "float32", 4),
  };
}

function images(): Case {
  const kernelInitializer = tf.initializers.randomNormal({ seed: 5, stddev: 0.7 });
  const layers = [
    tf.layers.conv2d({
      filters: 2,
      kernelSize: 2,
      inputShape: [3, 3, 1],
      activation: "relu",
      kernelInitializer,
    }),
    tf.layers.layerNormalization(),
    tf.layers.flatten(),
    dense(2),
  ];
  return {
    model: tf.sequential({ layers }),
    inputs: tf.randomNormal([n, 3, 3, 1], 0, 1, "float32", 6),
  };
}

const applied = ({ model, inputs }: Case) => model.apply(inputs, { training: true }) as tf.Tensor;

/** `∂²l_b/∂z²` by its formula. */
const HESSIANS: Record<FisherLoss["name"], (z: number[], i: number, j: number) => number> = {
  softmax_cross_entropy: (z, i, j) => {
    const total = z.reduce((sum, value) => sum + Math.exp(value), 0);
    const p = z.map((value) => Math.exp(value) / total);
    return (i === j ? p[i] : 0) - p[i] * p[j];
  },
  sigmoid_cross_entropy: (z, i, j) => i === j ? 1 / (2 + Math.exp(z[i]) + Math.exp(-z[i])) : 0,
  squared_error: (_, i, j) => i === j ? 2 : 0,
};

/** `Σ_b J_bᵀ H_b J_b / n` of a kernel, J by TensorFlow.js's own gradients, an output at a time. */
function gaussNewton(
  { model, inputs }: Case,
  kernel: tf.Variable,
  { name }: FisherLoss,
  weight: number,
): Dense {
  const d = kernel.size;
  const F = new Float64Array(d * d);
  for (let b = 0; b < n; b++) {
    const one = { model, inputs: tf.slice(inputs, [b], [1]) };
    const z = applied(one);
    const classes = z.shape.at(-1)!;
    const values = [...z.dataSync()];
    const J = values.map((_, at) => {
      const { grads } = tf.variableGrads(
        () => tf.sum(tf.slice(applied(one).flatten(), [at], [1])) as tf.Scalar,
        [kernel],
      );
      return grads[kernel.name].dataSync();
    });
    for (let i = 0; i < values.length; i++) {
      for (let j = 0; j < values.length; j++) {
        const term = Math.floor(i / classes);
        if (term !== Math.floor(j / classes)) continue;
        const ofTerm = values.slice(term * classes, (term + 1) * classes);
        const H = weight * HESSIANS[name](ofTerm, i % classes, j % classes);
        for (let at = 0; at < d * d; at++) F[at] += H * J[i][Math.floor(at / d)] * J[j][at % d] / n;
      }
    }
  }
  return F;
}

/** `Σ_b Σ_c P_bc P_bcᵀ / n` of a kernel, from captured statistics; averaged over samples. */
function fisherOf(capture: ModelCapture, at: number, statistics: Statistics): Dense {
  const block = capture.blocks[at];
  const d = block.kernel.size;
  const layer = statistics.layers.get(block.name)!;
  const F = new Float64Array(d * d);
  const scale = layer.gradientScale ** 2 / n /
    (statistics.fisher === "sampled" ? statistics.backprops : 1);
  for (let c = 0; c < statistics.backprops; c++) {
    for (const { kernel } of rowGradients(block, layer, c)) {
      for (let i = 0; i < d * d; i++) F[i] += kernel[Math.floor(i / d)] * kernel[i % d] * scale;
    }
  }
  return F;
}

function closeTo(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-5): void {
  const [error, size] = [distance(actual, expected), norm(expected)];
  ok(size > 0 && error <= tolerance * size, `${error} beside ${size}`);
}

const CASES: Record<string, [() => Case, FisherLoss, weight: number]> = {
  "softmax cross-entropy": [perceptron, softmaxCrossEntropy(), 1],
  "sigmoid cross-entropy": [perceptron, sigmoidCrossEntropy(), 1 / 3],
  "squared error, summed": [perceptron, squaredError({ weight: 1 }), 1],
  "softmax cross-entropy of a sequence": [sequence, softmaxCrossEntropy(), 1 / 2],
  "sigmoid cross-entropy of a sequence": [sequence, sigmoidCrossEntropy(), 1 / 6],
  "softmax cross-entropy of images": [images, softmaxCrossEntropy(), 1],
};

for (const [name, [make, loss, weight]] of Object.entries(CASES)) {
  Deno.test(`exact statistics make the Gauss-Newton matrix of every layer: ${name}`, () => {
    const one = make();
    const capture = new ModelCapture(one.model);
    const statistics = capture.statistics(() => applied(one), { fisher: "exact", loss });
    equal(statistics.backprops, loss.columns(one.model.outputs[0].shape as number[]));
    for (const [at, { kernel }] of capture.blocks.entries()) {
      closeTo(fisherOf(capture, at, statistics), gaussNewton(one, kernel, loss, weight));
    }
  });

  Deno.test(`many samples make nearly the same matrix: ${name}`, () => {
    const one = make();
    const capture = new ModelCapture(one.model);
    const of = (request: Parameters<ModelCapture["statistics"]>[1]) =>
      fisherOf(
        capture,
        capture.blocks.length - 1,
        capture.statistics(() => applied(one), request),
      );
    const exact = of({ fisher: "exact", loss });
    closeTo(of({ fisher: "sampled", loss, seed: 1, samples: 600 }), exact, 0.15);
  });
}

for (
  const [name, loss, activation] of [
    ["softmax", softmaxCrossEntropy, "softmax"],
    ["sigmoid", sigmoidCrossEntropy, "sigmoid"],
  ] as const
) {
  Deno.test(`a model that ends in ${name} has the statistics of its logits`, () => {
    const [logits, probabilities] = [perceptron(), perceptron(activation)];
    const endings = [
      tf.layers.activation({ activation }),
      ...(activation === "softmax" ? [tf.layers.softmax()] : []),
    ];
    const models = [
      probabilities,
      ...endings.map((ending) => {
        const { model, inputs } = perceptron();
        model.add(ending);
        return { model, inputs };
      }),
    ];
    const captured = (one: Case, loss: FisherLoss) => {
      const capture = new ModelCapture(one.model);
      const layers = capture.statistics(() => applied(one), { fisher: "exact", loss }).layers;
      return [...layers.values()].map(({ outputGradients }) => outputGradients.dataSync());
    };
    const expected = captured(logits, loss());
    for (const one of models) {
      const actual = captured(one, loss({ outputs: "probabilities" }));
      for (const [at, g] of actual.entries()) closeTo(g, expected[at]);
    }
  });
}

Deno.test("every sample is another draw, and no two seeds share one", () => {
  const one = perceptron();
  const seeds: number[] = [];
  const { sample, ...rest } = softmaxCrossEntropy();
  const loss: FisherLoss = {
    ...rest,
    sample(z, seed) {
      seeds.push(seed);
      return sample(z, seed);
    },
  };
  const capture = new ModelCapture(one.model);
  for (const seed of [0, 1, 2]) {
    capture.statistics(() => applied(one), { fisher: "sampled", loss, seed, samples: 3 });
  }
  equal(new Set(seeds).size, 9);
});

Deno.test("sampled output gradients are those of ⟨z, dy⟩ by the pre-activations", () => {
  const one = perceptron();
  const dy = tf.randomNormal([n, 3], 0, 1, "float32", 9);
  const loss: FisherLoss = { ...squaredError(), sample: () => dy.clone() };
  const capture = new ModelCapture(one.model);
  const request = { fisher: "sampled", loss, seed: 1 } as const;
  const { layers, backprops } = capture.statistics(() => applied(one), request);
  equal(backprops, 1);
  const { grads } = tf.variableGrads(() => tf.sum(tf.mul(applied(one), dy)) as tf.Scalar);
  for (const block of capture.blocks) {
    const statistics = layers.get(block.name)!;
    equal(statistics.gradientScale, 1);
    const rows = rowGradients(block, statistics).map(({ kernel }) => kernel);
    const sum = rows.reduce((x, y) => x.map((value, at) => value + y[at]));
    closeTo(sum, grads[block.kernel.name].dataSync());
  }
});

Deno.test("a loss that is not of the model's outputs is refused by name", () => {
  const refused = (model: tf.LayersModel, loss: FisherLoss, expected: RegExp) => {
    const inputs = tf.zeros([n, 4]);
    const pass = () => model.apply(inputs);
    const capture = new ModelCapture(model);
    throws(() => capture.statistics(pass, { fisher: "exact", loss }), expected);
  };
  refused(perceptron("softmax").model, softmaxCrossEntropy(), /logits .*must not end in softmax/);
  refused(perceptron("sigmoid").model, sigmoidCrossEntropy(), /logits .*must not end in sigmoid/);
  const ofProbabilities = softmaxCrossEntropy({ outputs: "probabilities" });
  refused(perceptron().model, ofProbabilities, /probabilities .*must end in softmax: .* linear/);

  const input = tf.input({ shape: [4] });
  const outputs = [dense(2), dense(3)].map((layer) => layer.apply(input) as tf.SymbolicTensor);
  refused(tf.model({ inputs: input, outputs }), squaredError(), /must have one output: it has 2/);
});

Deno.test("a pass that does not apply the model once is refused", () => {
  const one = perceptron();
  const capture = new ModelCapture(one.model);
  const request = { fisher: "exact", loss: squaredError() } as const;
  throws(() => capture.statistics(() => {}, request), /must apply the model/);
  const twice = () => [applied(one), applied(one)];
  throws(() => capture.statistics(twice, request), /applied once: .* used 2 times/);
  throws(
    () => capture.statistics(() => applied(one), { fisher: "empirical" }),
    /scalar .*\[3, 3\]/,
  );
});

Deno.test("statistics of one example are of that example alone", () => {
  const one = sequence();
  const capture = new ModelCapture(one.model);
  const request = { fisher: "exact", loss: softmaxCrossEntropy() } as const;
  const all = capture.statistics(() => applied(one), request);
  const first = { ...one, inputs: tf.slice(one.inputs, [0], [1]) };
  const alone = capture.statistics(() => applied(first), request);
  for (const [name, { outputGradients }] of alone.layers) {
    const [k, , ...rest] = outputGradients.shape;
    const of = tf.slice(all.layers.get(name)!.outputGradients, [0, 0], [k, 1, ...rest]);
    deepEqual(of.shape, outputGradients.shape);
    closeTo(outputGradients.dataSync(), of.dataSync());
  }
});
