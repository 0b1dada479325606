/**
 * The WebGPU eigensolver on the inputs that break eigensolvers, and at sizes of many blocks.
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

gpuTest("a warm start of a small matrix is as good as a cold one", async (engine) => {
  const d = 30, m = gramMatrix(d, 1);
  const basis = stackOf((await decompose(engine, gramMatrix(d, 3))).vectors);
  const { vectors, values } = await decompose(engine, m, basis);
  basis.dispose();
  assertEigh(m, vectors, values, d, "small warm");
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
