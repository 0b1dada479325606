/** Which mode is cheaper, by what was measured. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { ModelCapture } from "@/trainer/mod.ts";
import { bytesOf, chooseMode, type Measurements } from "../../../src/trainer/optimizer/auto.ts";

await tf.setBackend("cpu");

/** A laptop beside its server: 1 ms there and back, 100 MB/s, 10 MFLOP/ms both. */
const NEAR: Measurements = {
  roundTripMs: 1,
  bytesPerMs: 1e5,
  serverUpdateMs: 2,
  updateFlops: 2e7,
  clientFlopsPerMs: 1e7,
  gradientBytes: 1e6,
  preconditionerBytes: 4e6,
};
const synchronous = { refreshEvery: 20, asynchronous: false };

Deno.test("chooseMode() adds what a step pays: trip, bytes, arithmetic, and its share of the download", () => {
  const { mode, remoteMs, localMs } = chooseMode(NEAR, synchronous);
  equal(remoteMs, 1 + 20 + 2);
  equal(localMs, 2 + 41 / 20);
  equal(mode, "local");
});

Deno.test("chooseMode() leaves the update to the server where the client is slow or the preconditioner large", () => {
  equal(chooseMode({ ...NEAR, clientFlopsPerMs: 1e5 }, synchronous).mode, "remote");
  const large = { ...NEAR, preconditionerBytes: 1e8 };
  equal(chooseMode(large, synchronous).mode, "remote");
  equal(chooseMode(large, { ...synchronous, asynchronous: true }).mode, "local");
  equal(chooseMode(large, { ...synchronous, refreshEvery: 200 }).mode, "local");
});

Deno.test("bytesOf() counts both factors of every block, a table's by its diagonal", () => {
  const model = tf.sequential({
    layers: [
      tf.layers.embedding({ inputDim: 7, outputDim: 4, inputLength: 3 }),
      tf.layers.layerNormalization(),
      tf.layers.dense({ units: 5 }),
      tf.layers.reshape({ targetShape: [3, 5, 1] }),
      tf.layers.conv2d({ filters: 6, kernelSize: [2, 3], useBias: false }),
      tf.layers.depthwiseConv2d({ kernelSize: [2, 1], depthMultiplier: 3 }),
    ],
  });
  const { blocks } = new ModelCapture(model);
  const expected = [
    { gradient: 7 * 4, preconditioner: 7 + 4 ** 2 },
    { gradient: 8, preconditioner: 8 },
    { gradient: 5 * 5, preconditioner: 5 ** 2 + 5 ** 2 },
    { gradient: 6 * 6, preconditioner: 6 ** 2 + 6 ** 2 },
    { gradient: 2 * 6 * 3 + 18, preconditioner: 6 * (3 ** 2 + 3 ** 2) },
  ];
  equal(blocks.length, expected.length);
  blocks.forEach((block, at) => {
    const { gradient, preconditioner } = bytesOf([block]);
    deepEqual({ gradient: gradient / 4, preconditioner: preconditioner / 4 }, expected[at]);
  });
  ok(bytesOf(blocks).gradient > 0);
});
