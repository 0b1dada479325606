/** Sum, maximum and product over a workgroup, in both forms, against the host. */
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { type Tensor2D, tensor2d } from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { defineKernel, type WebGpuEngine } from "@/engine/mod.ts";
import { withReductions } from "../../src/linalg/reduce/reduce_webgpu.ts";
import { gpuTest, tuneTests } from "../support/gpu.ts";

tuneTests({ subgroups: true });

const LANES = 64;

const sources = withReductions(`
  const LANES = ${LANES}u;
  alias Value = vec2f;
  @group(0) @binding(0) var<storage, read> x: array<vec2f>;
  @group(0) @binding(1) var<storage, read_write> y: array<vec4f>;  // sum, largest: of each lane
  @compute @workgroup_size(LANES)
  fn reduce(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
  ) {
    let mine = x[group.x * LANES + lane];
    let sum = sum_of(mine, lane);
    workgroupBarrier();
    y[group.x * LANES + lane] = vec4f(sum, largest_of(mine, lane));
  }
  @compute @workgroup_size(LANES)
  fn reduce_more(
    @builtin(workgroup_id) group: vec3u,
    @builtin(local_invocation_index) lane: u32,
  ) {
    let mine = x[group.x * LANES + lane];
    let product = product_of(mine, lane);
    let sums = two_sums_of(mine, 3 * mine, lane);
    y[group.x * LANES + lane] = vec4f(product, sums[0].x, sums[1].y);
  }`);

const forms = [
  ["barriers", sources.source],
  ["subgroups where there are any", undefined],
].map(([name, subgroupSource]) => {
  const kernel = (entryPoint: string) =>
    defineKernel({
      label: "test.reduce",
      ...sources,
      ...(subgroupSource === undefined ? {} : { subgroupSource }),
      entryPoint,
      bindings: ["read", "read-write"],
      hasUniforms: false,
    });
  return { name, kernel: kernel("reduce"), more: kernel("reduce_more") };
});

async function reduced(
  engine: WebGpuEngine,
  kernel: typeof forms[number]["kernel"],
  values: Float32Array,
): Promise<Float32Array> {
  const groups = values.length / LANES / 2;
  const x: Tensor2D = tensor2d(values, [groups, 2 * LANES]);
  const y = engine.emptyTensor([groups, 4 * LANES]);
  const recording = engine.record("test");
  recording.dispatch(kernel, {
    buffers: [engine.bufferOf(x), engine.bufferOf(y)],
    workgroups: [groups],
  });
  recording.submit();
  const [found] = await engine.read([y]);
  x.dispose();
  y.dispose();
  return found;
}

for (const { name, kernel, more } of forms) {
  gpuTest(`sum_of() and largest_of() by ${name} are the host's, in every lane`, async (engine) => {
    // Small integers: exact in any order, so that one lost or repeated lane shows.
    const pair = fc.array(fc.integer({ min: -1000, max: 1000 }), {
      minLength: 2 * LANES,
      maxLength: 2 * LANES,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(pair, { minLength: 1, maxLength: 3 }), async (groups) => {
        const found = await reduced(engine, kernel, Float32Array.from(groups.flat()));
        const expected = groups.flatMap((values) => {
          const [left, right] = [0, 1].map((part) => values.filter((_, at) => at % 2 === part));
          const sum = (all: number[]) => all.reduce((total, each) => total + each, 0);
          const lane = [sum(left), sum(right), Math.max(...left), Math.max(...right)];
          return Array.from({ length: LANES }, () => lane).flat();
        });
        deepEqual(found, Float32Array.from(expected));
      }),
      { numRuns: 20 },
    );
  });

  gpuTest(`sum_of() by ${name} gives the same bits every time`, async (engine) => {
    const values = Float32Array.from({ length: 2 * LANES }, (_, i) => Math.sin(i) * 10 ** (i % 7));
    const once = await reduced(engine, kernel, values);
    ok(once.every(Number.isFinite));
    for (let run = 0; run < 5; run++) deepEqual(await reduced(engine, kernel, values), once);
  });

  gpuTest(`product_of() and two_sums_of() by ${name} are the host's`, async (engine) => {
    const value = fc.constantFrom(-2, -1, -0.5, 0.5, 1, 2); // exact in any order
    const values = fc.array(value, { minLength: 2 * LANES, maxLength: 2 * LANES });
    await fc.assert(
      fc.asyncProperty(values, async (all) => {
        const [left, right] = [0, 1].map((part) => all.filter((_, at) => at % 2 === part));
        const product = (of: number[]) => of.reduce((total, each) => total * each, 1);
        const sum = (of: number[]) => of.reduce((total, each) => total + each, 0);
        const lane = [product(left), product(right), sum(left), 3 * sum(right)];
        const found = await reduced(engine, more, Float32Array.from(all));
        deepEqual(found, Float32Array.from(Array.from({ length: LANES }, () => lane).flat()));
      }),
      { numRuns: 20 },
    );
  });
}
