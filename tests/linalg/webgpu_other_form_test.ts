/**
 * The tests of the WebGPU linear algebra once more, with reductions in the form that the adapter's
 * class does not choose: by subgroups on software, by barriers alone on most cards.
 */
import { strictEqual as equal } from "node:assert/strict";
import { probeAdapter, TUNINGS } from "@/engine/mod.ts";
import { gpuTest, tuneTests } from "../support/gpu.ts";

const adapter = await probeAdapter();
const subgroups = adapter !== null && !TUNINGS[adapter.class].subgroups;
tuneTests({ subgroups });

gpuTest("reductions are in the form that the adapter's class does not choose", (engine) => {
  if (!engine.facts.features.includes("subgroups")) {
    console.log("no subgroups: reductions by barriers are tested twice");
    return;
  }
  equal(engine.tuning.subgroups, subgroups);
});

await import("./webgpu_test.ts");
await import("./webgpu_eigh_test.ts");
