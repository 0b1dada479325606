/** π of factors on the host is the π of the same factors as tensors, also where there is none. */
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { dispose, tensor3d } from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { type HostStack, piOfFactors, piOfHostFactors } from "@/curvature/mod.ts";
import { cpuTest } from "../support/cpu.ts";

const RULES = ["trace", "frobenius", "off"] as const;

/** Symmetric matrices, a group each, some of them zero, of sizes far apart. */
const stacks = (groups: number): fc.Arbitrary<HostStack> =>
  fc.record({
    d: fc.integer({ min: 1, max: 5 }),
    scales: fc.array(fc.constantFrom(0, 1e-12, 1, 1e9), { minLength: groups, maxLength: groups }),
    seed: fc.nat(1000),
  }).map(({ d, scales, seed }) => ({
    shape: [groups, d, d] as const,
    data: Float32Array.from({ length: groups * d * d }, (_, at) => {
      const [i, j] = [Math.floor(at / d) % d, at % d];
      return scales[Math.floor(at / (d * d))] *
        (1 + ((Math.min(i, j) * 7 + Math.max(i, j) + seed) % 5));
    }),
  }));

cpuTest("π of factors on the host is that of the same factors as tensors", () => {
  fc.assert(fc.property(
    fc.constantFrom(...RULES),
    fc.integer({ min: 1, max: 3 }).chain((groups) => fc.tuple(stacks(groups), stacks(groups))),
    (rule, [A, G]) => {
      const [a, g] = [A, G].map(({ data, shape }) => tensor3d(data, [...shape]));
      const pi = piOfFactors(rule, a, g);
      const expected = pi.dataSync();
      const found = piOfHostFactors(rule, A, G);
      dispose([a, g, pi]);
      deepEqual(found.length, expected.length);
      found.forEach((each, at) => ok(Math.abs(each / expected[at] - 1) < 1e-6));
    },
  ));
});

cpuTest("π is 1 where a factor is zero", () => {
  const zero: HostStack = { data: new Float32Array(4), shape: [1, 2, 2] };
  const one: HostStack = { data: Float32Array.of(4, 0, 0, 4), shape: [1, 2, 2] };
  deepEqual(piOfHostFactors("trace", zero, one), [1]);
  deepEqual(piOfHostFactors("trace", one, zero), [1]);
  deepEqual(piOfHostFactors("trace", one, { ...one, data: Float32Array.of(1, 0, 0, 1) }), [2]);
});
