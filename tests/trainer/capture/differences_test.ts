/** Output gradients against differences of the loss, and each example's gradient against a pass of that example alone. */
import { ok, strictEqual as equal } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { type LayerBlock, ModelCapture } from "@/trainer/capture/mod.ts";
import { softmaxCrossEntropy } from "@/trainer/fisher/mod.ts";
import { distance, norm } from "../../support/dense.ts";
import { rowGradients } from "./dense_gradient.ts";
import { N, type Specimen, specimen, SPECIMENS } from "./zoo.ts";

await tf.setBackend("cpu");

const { loss } = softmaxCrossEntropy();
type Inner = Record<"activation", { getClassName(): string; apply(x: tf.Tensor): tf.Tensor }>;

/** Moving averages, not the batch's moments: else the examples of a batch normalisation are no examples. */
function lossOf({ model, inputs, targets }: Specimen): tf.Scalar {
  return loss(targets, model.apply(inputs, { training: false }) as tf.Tensor);
}

/** The loss, with what a layer computes before its activation seen by `see` at each use, in TensorFlow.js's own pass. */
function lossSeenBy(
  one: Specimen,
  { layer }: LayerBlock,
  see: (s: tf.Tensor) => tf.Tensor,
): number {
  const inner = layer as unknown as Inner;
  const { activation } = inner;
  const { call } = layer;
  if (activation) {
    inner.activation = { getClassName: () => "seen", apply: (s) => activation.apply(see(s)) };
  } else layer.call = (x, kwargs) => see(call.call(layer, x, kwargs) as tf.Tensor);
  try {
    return lossOf(one).dataSync()[0];
  } finally {
    if (activation) inner.activation = activation;
    else delete (layer as Partial<typeof layer>).call;
  }
}

/** The loss with a layer's pre-activations moved, by a step for each use. */
function lossWhereMoved(one: Specimen, block: LayerBlock, steps: tf.Tensor[]): number {
  const uses = steps.values();
  return lossSeenBy(one, block, (s) => tf.add(s, uses.next().value!));
}

/** Steps in the shapes that TensorFlow.js has, from one in the shape of a layer's output gradients. */
function stepsOf(one: Specimen, block: LayerBlock, joined: tf.Tensor): tf.Tensor[] {
  const shapes: number[][] = [];
  lossSeenBy(one, block, (s) => {
    shapes.push(s.shape);
    return s;
  });
  if (block.description.kind === "conv2d") {
    const { dataFormat } = block.layer as unknown as { dataFormat: string };
    return tf.split(joined, shapes.length).map((use) =>
      dataFormat === "channelsFirst" ? tf.transpose(use, [0, 3, 1, 2]) : use
    );
  }
  const d = joined.shape.at(-1)!;
  const places = shapes.map((shape) => shape.slice(1, -1).reduce((x, y) => x * y, 1));
  const uses = tf.split(joined.reshape([N, -1, d]), places, 1);
  return uses.map((use, at) => use.reshape(shapes[at]));
}

/** What is captured with the moving averages. */
function captured(one: Specimen) {
  const capture = new ModelCapture(one.model);
  const { statistics } = capture.gradients(() => lossOf(one), {
    statistics: { fisher: "empirical" },
  });
  return capture.blocks.map((block) => [block, statistics!.layers.get(block.name)!] as const);
}

// of an output in another order than its statistics the steps would be in the wrong places
for (const name of SPECIMENS.filter((name) => !name.includes("over two axes"))) {
  Deno.test(`output gradients are the loss's differences by the pre-activations: ${name}`, () => {
    const one = specimen(name);
    const h = 0.01; // float32 losses: below it rounding outweighs the third derivative
    for (const [block, { outputGradients: g }] of captured(one)) {
      const size = norm(g.dataSync());
      for (let seed = 1; seed <= 4; seed++) {
        const direction = tf.randomNormal(g.shape, 0, 1, "float32", seed);
        const [up, down] = [h, -h].map((by) =>
          lossWhereMoved(one, block, stepsOf(one, block, tf.mul(direction, by)))
        );
        const expected = tf.sum(tf.mul(g, direction)).dataSync()[0];
        const error = Math.abs((up - down) / (2 * h) - expected);
        ok(size > 0 && error <= 0.01 * size, `${block.name}: ${error} beside ${size}`);
      }
    }
  });
}

/** Σ of the rows that are of example b: a use of a convolution has rows of its own. */
function ofExample(rows: number[][], b: number): number[] {
  return rows.filter((_, row) => row % N === b)
    .reduce((x, y) => x.map((value, at) => value + y[at]));
}

function expectClose(actual: number[], expected: ArrayLike<number>, what: string): void {
  equal(actual.length, expected.length, what);
  const [error, size] = [distance(actual, expected), norm(expected)];
  ok(error <= 1e-5 * size + 1e-7, `${what}: ${error} beside ${size}`);
}

for (const name of SPECIMENS) {
  Deno.test(`an example's n·g aᵀ is the gradient of its own loss: ${name}`, () => {
    const one = specimen(name);
    const alone = Array.from({ length: N }, (_, b) => {
      const inputs = one.inputs.map((input) => tf.slice(input, [b], [1]));
      const example = { ...one, inputs, targets: tf.slice(one.targets, [b], [1]) };
      return tf.variableGrads(() => lossOf(example)).grads;
    });
    for (const [block, statistics] of captured(one)) {
      const uses = statistics.inputs.shape[0] / N;
      ok(Math.abs(statistics.gradientScale - N * Math.sqrt(uses)) < 1e-12);
      const rows = rowGradients(block, statistics);
      const { kernel, bias } = block;
      for (let b = 0; b < N; b++) {
        const ofKernel = ofExample(rows.map((row) => row.kernel), b).map((value) => value * N);
        expectClose(ofKernel, alone[b][kernel.name].dataSync(), `${kernel.name} of ${b}`);
        if (!bias) continue;
        const ofBias = ofExample(rows.map((row) => row.bias), b).map((value) => value * N);
        expectClose(ofBias, alone[b][bias.name].dataSync(), `${bias.name} of ${b}`);
      }
    }
  });
}
