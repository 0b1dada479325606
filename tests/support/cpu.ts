/**
 * Tests on the cpu engine: LAPACK where the machine has one, else the built-in float64.
 *
 * @module
 */
import { memory } from "@tensorflow/tfjs-core";
import { strictEqual as equal } from "node:assert/strict";
import { type Engine, openEngine } from "@/engine/mod.ts";

/** Declares a test on some engine; what suites that run on both engines are written against. */
export type EngineTest = (name: string, fn: (engine: Engine) => Promise<void> | void) => void;

let opened: Promise<Engine> | undefined;

/** One engine a test file: TensorFlow.js has one backend of a name. */
export function cpuEngine(): Promise<Engine> {
  return opened ??= openEngine({ engine: "cpu", blas: "auto" });
}

/** A test on the cpu engine. It must leave no tensor behind. */
export const cpuTest: EngineTest = (name, fn) => {
  Deno.test({
    name,
    // The library's thread pool outlives the test.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      const engine = await cpuEngine();
      const before = memory().numTensors;
      await fn(engine);
      equal(memory().numTensors, before, "tensors were left behind");
    },
  });
};
