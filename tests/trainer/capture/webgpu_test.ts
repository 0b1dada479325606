/** The same passes on WebGPU: what is captured does not depend on the backend. */
import { deepStrictEqual as deepEqual, notStrictEqual as notEqual, ok } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { ModelCapture, type StatisticsRequest } from "@/trainer/capture/mod.ts";
import { softmaxCrossEntropy } from "@/trainer/fisher/mod.ts";
import { distance, norm } from "../../support/dense.ts";
import { gpuTest } from "../../support/gpu.ts";
import { specimen } from "./zoo.ts";

const loss = softmaxCrossEntropy();
const REQUESTS: StatisticsRequest[] = [
  { fisher: "empirical" },
  { fisher: "sampled", loss, seed: 1 },
  { fisher: "exact", loss },
];

/** Everything that a pass answers, read. */
async function captured(name: string, statistics: StatisticsRequest): Promise<Float32Array[]> {
  const tensors = tf.tidy(() => {
    const { model, inputs, targets } = specimen(name);
    const capture = new ModelCapture(model);
    const answer = capture.gradients(
      () => loss.loss(targets, model.apply(inputs, { training: true }) as tf.Tensor),
      { statistics },
    );
    const ofLayers = [...answer.statistics!.layers.values()];
    return [
      answer.loss,
      ...capture.blocks.map(({ kernel }) => answer.gradients[kernel.name]),
      ...ofLayers.flatMap(({ inputs, outputGradients }) => [inputs, outputGradients]),
    ];
  });
  const values = await Promise.all(tensors.map((tensor) => tensor.data<"float32">()));
  tf.dispose(tensors);
  tf.disposeVariables();
  return values;
}

for (const name of ["dense, used twice", "conv2d, same", "layer normalization"]) {
  gpuTest(`on WebGPU as on the CPU: ${name}`, async () => {
    const backend = tf.getBackend();
    notEqual(backend, "cpu");
    for (const request of REQUESTS) {
      const actual = await captured(name, request);
      await tf.setBackend("cpu");
      const expected = await captured(name, request).finally(() => tf.setBackend(backend));
      deepEqual(actual.map(({ length }) => length), expected.map(({ length }) => length));
      for (const [at, values] of expected.entries()) {
        const error = distance(actual[at], values);
        ok(error <= 1e-4 * norm(values), `tensor ${at}: ${error} beside ${norm(values)}`);
      }
    }
  });
}
