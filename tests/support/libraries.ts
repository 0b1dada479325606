/**
 * Tests of what the cpu engine must do with the BLAS of this machine and without one.
 *
 * @module
 */
import { memory } from "@tensorflow/tfjs-core";
import { strictEqual as equal } from "node:assert/strict";
import { type CpuEngine, openEngine } from "@/engine/mod.ts";

const hasBlas = (await openEngine({ engine: "cpu", blas: "auto" })).facts.blas !== null;
if (!hasBlas) console.log("no BLAS: its tests are ignored, those of the built-in run");

export type Library = "blas" | "built-in";

/**
 * A test for each library; it must leave no tensor behind. Kernels are installed for one engine at a time, so the
 * engine is opened anew.
 */
export function libraryTest(
  name: string,
  fn: (engine: CpuEngine, library: Library) => Promise<void> | void,
  libraries: readonly Library[] = ["blas", "built-in"],
): void {
  for (const library of libraries) {
    Deno.test({
      name: `${name} (${library})`,
      ignore: library === "blas" && !hasBlas,
      sanitizeResources: false, // a library once loaded stays
      fn: async () => {
        const blas = library === "blas" ? "auto" : "off";
        const engine = await openEngine({ engine: "cpu", blas }) as CpuEngine;
        const before = memory().numTensors;
        await fn(engine, library);
        equal(memory().numTensors, before, "tensors were left behind");
      },
    });
  }
}
