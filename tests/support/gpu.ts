/**
 * Tests that need a WebGPU adapter (lavapipe is one).
 *
 * Without an adapter such a test is ignored, and says so; with CURVD_REQUIRE_WEBGPU=1 it fails
 * instead.
 *
 * @module
 */
import { memory } from "@tensorflow/tfjs-core";
import { strictEqual as equal } from "node:assert/strict";
import { openWebGpuEngine, probeAdapter, type Tuning, type WebGpuEngine } from "@/engine/mod.ts";
import { reference } from "./reference.ts";

const adapter = await probeAdapter();
const isRequired = Deno.env.get("CURVD_REQUIRE_WEBGPU") === "1";
/** Whether tests of the GPU are ignored: there is no adapter, and none is required. */
export const isWithoutGpu = adapter === null && !isRequired;
const isSlowRun = Deno.env.get("CURVD_SLOW") === "1";
console.log(
  adapter === null
    ? "no WebGPU adapter: GPU tests are ignored"
    : `WebGPU adapter: ${adapter.description} (software: ${adapter.software})`,
);

/** One engine a test file: TensorFlow.js has one backend of a name. */
let opened: Promise<WebGpuEngine> | undefined;
let tuning: Partial<Tuning> = {};

/** Makes the tests of this file run with other kernels than the adapter's class chooses. */
export function tuneTests(other: Partial<Tuning>): void {
  tuning = other;
}

export function gpuEngine(): Promise<WebGpuEngine> {
  return opened ??= openWebGpuEngine({ float64: reference, reason: "a test", tuning });
}

/**
 * A test on the GPU. It must leave no tensor and no device error behind. Slow ones run with
 * CURVD_SLOW=1.
 */
export function gpuTest(
  name: string,
  fn: (engine: WebGpuEngine) => Promise<void> | void,
  { isSlow = false }: { isSlow?: boolean } = {},
): void {
  Deno.test({
    name,
    ignore: isWithoutGpu || (isSlow && !isSlowRun),
    // The device outlives the test, and its promises with it.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      const engine = await gpuEngine();
      const before = memory().numTensors;
      await fn(engine);
      await engine.read([]); // rejects if the device reported anything
      equal(memory().numTensors, before, "tensors were left behind");
    },
  });
}
