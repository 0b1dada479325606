import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { dispose, slice, tensor3d } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { type LinearAlgebra, settle } from "@/linalg/mod.ts";
import { cpuTest } from "../support/cpu.ts";
import { sittingTests } from "./sittings.ts";

// below, at and above what is solved in place, with one thread, with all threads
sittingTests(cpuTest, [3, 128, 200, 520]);

/** The inverse of diag(4, 16), and a view of its first row. */
async function inverseOf(engine: Engine, keepsNothing: boolean) {
  const matrix = tensor3d([4, 0, 0, 16], [1, 2, 2]);
  const work = async (linalg: LinearAlgebra) => {
    const [{ inverse }] = await linalg.choleskyInverse([{ name: "A", matrix, shift: 0 }]);
    const row = slice(inverse, [0, 0, 0], [1, 1, 2]);
    const own = inverse.dataSync();
    return { read: [inverse], keep: { row, own } };
  };
  const { arrays: [read], keep } = await settle(engine, work, { keepsNothing });
  dispose(matrix);
  return { read, ...keep };
}

cpuTest("what a work keeps stays, whatever becomes of what was read", async (engine) => {
  const { read, row } = await inverseOf(engine, false);
  structuredClone(read, { transfer: [read.buffer] });
  deepEqual([...row.dataSync()], [0.25, 0]);
  row.dispose();
});

cpuTest("where a work keeps nothing, what was read is the result's own memory", async (engine) => {
  const { read, row, own } = await inverseOf(engine, true);
  row.dispose();
  deepEqual([...read], [0.25, 0, 0, 0.0625]);
  equal(read.buffer, own.buffer);
});
