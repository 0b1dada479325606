/** Memory that goes from a result to the answer: handed on where only one tensor has it, else copied. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { reshape, tensor } from "@tensorflow/tfjs-core";
import type { CpuEngine } from "@/engine/mod.ts";
import { cpuTest } from "../support/cpu.ts";

cpuTest("take() hands on memory that only the tensor has, and disposes of it", async (engine) => {
  const values = Float32Array.of(1, 2, 3, 4);
  const adopted = (engine as CpuEngine).adopt(values, [1, 2, 2]);
  const shaped = reshape(adopted, [2, 2]);
  adopted.dispose();
  const [taken] = await engine.take([shaped]);
  equal(taken, values);
  ok(shaped.isDisposed);
});

cpuTest("take() copies what another tensor has too, or somebody may have", async (engine) => {
  const values = Float32Array.of(1, 2, 3, 4), known = Float32Array.of(5, 6);
  const kept = (engine as CpuEngine).adopt(values, [4]);
  const [copy, ofKnown] = await engine.take([reshape(kept, [2, 2]), tensor(known)]);
  copy.fill(0);
  ofKnown.fill(0);
  deepEqual([...kept.dataSync()], [1, 2, 3, 4]);
  deepEqual([...known], [5, 6]);
  kept.dispose();
});

cpuTest(
  "take() of a tensor twice gives two arrays, and read() never the tensor's own",
  async (engine) => {
    const twice = (engine as CpuEngine).adopt(Float32Array.of(7), [1]);
    const [read] = await engine.read([twice]);
    read[0] = 0;
    const [first, second] = await engine.take([twice, twice]);
    deepEqual([first[0], second[0]], [7, 7]);
    ok(first.buffer !== second.buffer);
  },
);
