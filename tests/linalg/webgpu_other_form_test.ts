/**
 * The tests of the WebGPU linear algebra once more, in the forms that the adapter's class does not choose: reductions by
 * subgroups and small inverses by workgroups on software, reductions by barriers alone and small inverses by subgroups on most
 * cards. (Block Jacobi has tests of its own.)
 */
import { strictEqual as equal } from "node:assert/strict";
import { probeAdapter, TUNINGS } from "@/engine/mod.ts";
import { gpuTest, tuneTests } from "../support/gpu.ts";

const adapter = await probeAdapter();
const chosen = adapter && TUNINGS[adapter.class];
const subgroups = chosen !== null && !chosen.subgroups;
const smallInverseInSubgroup = chosen !== null && !chosen.smallInverseInSubgroup;
tuneTests({ subgroups, smallInverseInSubgroup });

gpuTest("kernels are in the forms that the adapter's class does not choose", (engine) => {
  if (!engine.facts.features.includes("subgroups")) {
    console.log("no subgroups: kernels without them are tested twice");
    return;
  }
  equal(engine.tuning.subgroups, subgroups);
  equal(engine.tuning.smallInverseInSubgroup, smallInverseInSubgroup);
});

await import("./webgpu_test.ts");
await import("./webgpu_eigh_test.ts");
await import("./webgpu_tridiagonal_test.ts");
