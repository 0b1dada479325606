/** Captured statistics of every kind of layer, against TensorFlow.js's own gradients. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { disposeStatistics, ModelCapture } from "@/trainer/capture/mod.ts";
import { softmaxCrossEntropy } from "@/trainer/fisher/mod.ts";
import { distance, norm } from "../../support/dense.ts";
import { rowGradients } from "./dense_gradient.ts";
import { type Specimen, specimen, SPECIMENS } from "./zoo.ts";

await tf.setBackend("cpu");

const { loss } = softmaxCrossEntropy();

/** The loss of a specimen, as its model computes it now. */
function lossOf({ model, inputs, targets }: Specimen, training: boolean): tf.Scalar {
  return loss(targets, model.apply(inputs, { training }) as tf.Tensor);
}

function capture(one: Specimen): ModelCapture {
  return new ModelCapture(one.model, { onUncovered: ({ name }) => ok(false, `${name} uncovered`) });
}

function closeTo(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  equal(actual.length, expected.length, what);
  const [error, size] = [distance(actual, expected), norm(expected)];
  ok(size > 0 && error <= 1e-5 * size, `${what}: ${error} beside ${size}`);
}

const sum = (rows: number[][]) => rows.reduce((x, y) => x.map((value, at) => value + y[at]));

for (const name of SPECIMENS) {
  Deno.test(`Σ g aᵀ of captured statistics is TensorFlow.js's own gradient: ${name}`, () => {
    const one = specimen(name);
    const captured = capture(one);
    const own = tf.variableGrads(() => lossOf(one, true));
    const { loss, gradients, statistics } = captured.gradients(() => lossOf(one, true), {
      statistics: { fisher: "empirical" },
    });
    closeTo(loss.dataSync(), own.value.dataSync(), "loss");
    const ofModel = one.model.trainableWeights.map((weight) => weight.read() as tf.Variable);
    deepEqual(Object.keys(gradients).sort(), ofModel.map(({ name }) => name).sort());
    for (const { name } of ofModel) {
      closeTo(gradients[name].dataSync(), own.grads[name].dataSync(), name);
    }
    for (const block of captured.blocks) {
      const rows = rowGradients(block, statistics!.layers.get(block.name)!);
      const { kernel, bias } = block;
      closeTo(sum(rows.map((row) => row.kernel)), own.grads[kernel.name].dataSync(), kernel.name);
      if (bias) {
        closeTo(sum(rows.map((row) => row.bias)), own.grads[bias.name].dataSync(), bias.name);
      }
    }
    disposeStatistics(statistics!);
  });
}
