/**
 * The WebGPU eigensolver on the inputs that break eigensolvers, started warm, and at sizes of many blocks.
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { gpuTest } from "../support/gpu.ts";
import {
  assertEigh,
  conditionOf,
  decompose,
  inverseResidual,
  invert,
  plusIdentity,
  solve,
  stackOf,
} from "../support/gpu_linalg.ts";
import { gramMatrix, logSpaced, withSpectrum } from "../support/matrices.ts";

gpuTest("eigh() of a zero matrix is zero with an orthonormal basis", async (engine) => {
  for (const d of [1, 5, 70]) {
    const { vectors, values, report } = await decompose(engine, new Float32Array(d * d));
    assertEigh(new Float32Array(d * d), vectors, values, d, "zero");
    deepEqual(values, new Float32Array(d));
    equal(report.residual, 0);
  }
});

gpuTest("eigh() resolves repeated eigenvalues and signs", async (engine) => {
  for (const d of [24, 80]) {
    const spectrum = Float64Array.from({ length: d }, (_, i) => [-2, 0, 0.5, 3][i % 4]);
    const m = withSpectrum(spectrum, 3);
    const { vectors, values, report } = await decompose(engine, m);
    assertEigh(m, vectors, values, d, "repeated");
    equal(report.negative, values.reduce((count, value) => count + Number(value < 0), 0));
    spectrum.sort().forEach((value, i) => ok(Math.abs(value - values[i]) < 1e-5));
  }
});

gpuTest("eigh() of a graded or rank-deficient matrix keeps its bounds", async (engine) => {
  for (const d of [48, 96]) {
    for (const m of [withSpectrum(logSpaced(d, 12), 1), gramMatrix(d, 2, Math.floor(d / 3))]) {
      const { vectors, values } = await decompose(engine, m);
      assertEigh(m, vectors, values, d, `size ${d}`);
    }
  }
});

/** A running average after one more batch, the same for every test. */
function drifted(before: Float32Array, decay: number): Float32Array {
  const fresh = gramMatrix(Math.sqrt(before.length), 2);
  return before.map((value, i) => decay * value + (1 - decay) * fresh[i]);
}

gpuTest("a warm start takes no sweep but among neighbours and is as good", async (engine) => {
  const d = 160;
  const before = gramMatrix(d, 1);
  const after = drifted(before, 0.95);
  const { vectors } = await decompose(engine, before);
  const basis = stackOf(vectors);
  const cold = await decompose(engine, after);
  const warm = await decompose(engine, after, basis);
  basis.dispose();
  assertEigh(after, warm.vectors, warm.values, d, "warm");
  ok(warm.report.sweeps! <= 2, `warm ${warm.report.sweeps}`);
  ok(warm.report.sweeps! < cold.report.sweeps!, `cold ${cold.report.sweeps}`);
  cold.values.forEach((value, i) => ok(Math.abs(value - warm.values[i]) < 1e-5));
});

gpuTest("a warm start far off, where many angles are large, keeps its bounds", async (engine) => {
  const d = 160;
  const before = gramMatrix(d, 1);
  const basis = stackOf((await decompose(engine, before)).vectors);
  for (const after of [drifted(before, 0.5), withSpectrum(logSpaced(d, 6), 3)]) {
    const { vectors, values, report } = await decompose(engine, after, basis);
    assertEigh(after, vectors, values, d, "far off");
    equal(report.engine, "webgpu");
  }
  basis.dispose();
});

gpuTest("a warm start has the same bits whatever else is in the call", async (engine) => {
  const d = 160;
  const before = gramMatrix(d, 1);
  const basis = stackOf((await decompose(engine, before)).vectors);
  const problems = [0.95, 0.5, 0.999].map((decay) => ({
    name: `A ${decay}`,
    matrix: stackOf(drifted(before, decay)),
    warmStart: basis,
  }));
  const together = await solve(engine, (linalg) => linalg.eigh(problems));
  for (const [at, problem] of problems.entries()) {
    const { arrays } = await solve(engine, (linalg) => linalg.eigh([problem]));
    deepEqual(together.arrays.slice(2 * at, 2 * at + 2), arrays);
    problem.matrix.dispose();
  }
  basis.dispose();
});

gpuTest("a warm start of a small matrix is as good as a cold one", async (engine) => {
  const d = 30, m = gramMatrix(d, 1);
  const basis = stackOf((await decompose(engine, gramMatrix(d, 3))).vectors);
  const { vectors, values } = await decompose(engine, m, basis);
  basis.dispose();
  assertEigh(m, vectors, values, d, "small warm");
});

gpuTest("a warm start that is no basis at all is noticed and redone in float64", async (engine) => {
  const d = 80, m = gramMatrix(d, 1);
  const basis = stackOf(gramMatrix(d, 7).map((value) => 3 * value));
  const { vectors, values, report } = await decompose(engine, m, basis);
  basis.dispose();
  assertEigh(m, vectors, values, d, "no basis");
  equal(report.engine, "float64");
});

gpuTest("eigh() is the same in 16 KiB of workgroup memory as in more", async (engine) => {
  // Q of a 64 x 64 pivot is then kept in storage; same arithmetic, so the same bits.
  const { maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = engine.device.limits;
  const limits = {
    maxStorageBufferBindingSize,
    maxComputeWorkgroupsPerDimension,
    maxComputeWorkgroupStorageSize: 16384,
  };
  const modest = new Proxy(engine, {
    get(target, name) {
      if (name === "device") return { limits };
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const m = gramMatrix(60, 4);
  const inModest = await decompose(modest, m);
  const inFull = await decompose(engine, m);
  deepEqual(inModest.vectors, inFull.vectors);
  deepEqual(inModest.values, inFull.values);
});

for (const d of [512, 1024]) {
  const isSlow = d > 512;
  gpuTest(
    `${isSlow ? "slow: " : ""}inverse and eigh keep their bounds at size ${d}`,
    async (engine) => {
      const m = gramMatrix(d, d);
      const { inverse } = await invert(engine, m, 0.01);
      const shifted = plusIdentity(m, 0.01, d);
      const residual = inverseResidual(shifted, inverse, d);
      ok(residual <= 3e-8 * conditionOf(shifted, inverse) * Math.sqrt(d) + 1e-7, `${residual}`);
      for (const each of isSlow ? [m] : [m, withSpectrum(logSpaced(d, 6), d)]) {
        const { report } = await decompose(engine, each);
        equal(report.engine, "webgpu");
      }
    },
    { isSlow },
  );
}
