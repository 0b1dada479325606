import { ok, strictEqual as equal } from "node:assert/strict";
import { dispose, tensor3d } from "@tensorflow/tfjs-core";
import { settle } from "@/linalg/mod.ts";
import { gpuTest } from "../support/gpu.ts";
import { gramMatrix } from "../support/matrices.ts";
import { sittingTests } from "./sittings.ts";

sittingTests(gpuTest as Parameters<typeof sittingTests>[0], [3, 17, 65]);

gpuTest("equal sizes of different works are one batch on the device", async (engine) => {
  const matrix = tensor3d(gramMatrix(16, 1), [1, 16, 16]);
  const inverted = () =>
    settle(engine, async (linalg) => {
      const [{ inverse }] = await linalg.choleskyInverse([{ name: "fc.A", matrix, shift: 0.1 }]);
      return { read: [inverse], keep: null };
    });
  const record = engine.record.bind(engine);
  let recordings = 0;
  engine.record = (label) => (recordings++, record(label));
  try {
    await inverted();
    const ofOne = recordings;
    ok(ofOne > 0);
    await Promise.all(Array.from({ length: 8 }, inverted));
    equal(recordings, 2 * ofOne);
  } finally {
    engine.record = record;
  }
  dispose(matrix);
});
