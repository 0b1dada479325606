/** What is chosen when a device is opened. */
import { ok, strictEqual as equal } from "node:assert/strict";
import { adapterClass } from "../../src/engine/webgpu/tuning.ts";
import { usableSubgroups } from "../../src/engine/webgpu/subgroups.ts";
import { gpuEngine, gpuTest } from "../support/gpu.ts";

Deno.test("an adapter's class is its vendor, as wgpu numbers it and as browsers name it", () => {
  const cases: [string, string][] = [
    ["4318  NVIDIA H200", "nvidia"],
    ["nvidia ampere ", "nvidia"],
    ["4098  AMD Instinct MI300X (RADV GFX942)", "amd"],
    ["amd rdna-3 ", "amd"],
    ["32902  Intel(R) Graphics (ADL GT2)", "intel"],
    ["0  Apple M3 Max", "apple"],
    ["apple metal-3 ", "apple"],
    ["20803  Adreno (TM) 740", "unknown"],
    ["", "unknown"],
  ];
  for (const [words, expected] of cases) equal(adapterClass(words), expected, words);
});

gpuTest("the engine's facts tell the adapter's class and what was chosen for it", (engine) => {
  const { adapter, tuning } = engine.facts;
  equal(adapter!.class === "software", adapter!.software);
  equal(tuning!.subgroups, engine.tuning.subgroups);
  equal(tuning!.jacobiLanes, engine.tuning.jacobiLanes);
  equal(tuning!.smallInverseInSubgroup, engine.tuning.smallInverseInSubgroup);
});

gpuTest("a device opened without subgroups is not asked to run them", async ({ device }) => {
  equal(await usableSubgroups({ device, features: [] }), null);
});

gpuTest("where subgroups are granted, a line is found that their compiler takes", async () => {
  const { device, facts: { features } } = await gpuEngine();
  if (!features.includes("subgroups")) return console.log("no subgroups: nothing to compile");
  const found = await usableSubgroups({ device, features });
  equal(typeof found?.directive, "string");
  ok(found!.size >= 4 && Number.isInteger(Math.log2(found!.size)), `${found!.size} lanes`);
});
