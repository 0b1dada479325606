/**
 * The WebGPU linear algebra against float64, at the edges of its tiles, and what it refuses.
 */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { dispose, scalar, tensor1d } from "@tensorflow/tfjs-core";
import fc from "fast-check";
import type { CurvdError } from "@/errors.ts";
import { type LinearAlgebra, settle } from "@/linalg/mod.ts";
import { gpuTest } from "../support/gpu.ts";
import {
  assertEigh,
  assertSymmetric,
  conditionOf,
  decompose,
  frobenius,
  inverseResidual,
  invert,
  plusIdentity,
  SIZES,
  solve,
  stackOf,
} from "../support/gpu_linalg.ts";
import { gramMatrix, logSpaced, withSpectrum } from "../support/matrices.ts";
import { lowerInverse, reference } from "../support/reference.ts";

for (const d of SIZES) {
  gpuTest(`choleskyInverse() is within its bound of float64 at size ${d}`, async (engine) => {
    for (
      const [m, shift] of [[gramMatrix(d, d), 0.01], [withSpectrum(logSpaced(d, 3), d), 0]] as const
    ) {
      const { inverse, report } = await invert(engine, m, shift);
      const shifted = plusIdentity(m, shift, d);
      const residual = inverseResidual(shifted, inverse, d);
      ok(residual <= 3e-8 * conditionOf(shifted, inverse) * Math.sqrt(d) + 1e-7, `${residual}`);
      ok(report.residual <= 4 * residual + 1e-7 && report.residual >= residual / 4 - 1e-7);
      equal(report.engine, "webgpu");
      assertSymmetric(inverse, d);
    }
  });

  gpuTest(`whiten() gives the inverse Cholesky factor at size ${d}`, async (engine) => {
    const m = gramMatrix(d, d + 1), shift = 0.05;
    const input = stackOf(m);
    const { arrays: [whitener] } = await solve(
      engine,
      (linalg) => linalg.whiten([{ name: "A", matrix: input, shift }]),
    );
    input.dispose();
    const factor = await reference.cholesky(plusIdentity(m, shift, d), d);
    const expected = lowerInverse(factor as Float64Array, d);
    const scale = frobenius(expected);
    expected.forEach((value, at) => ok(Math.abs(value - whitener[at]) <= 1e-5 * scale));
    for (let i = 0; i < d; i++) {
      for (let j = i + 1; j < d; j++) equal(whitener[i * d + j], 0);
    }
  });

  gpuTest(`eigh() is within its bounds at size ${d}`, async (engine) => {
    for (const m of [gramMatrix(d, d), withSpectrum(logSpaced(d, 6), d)]) {
      const { vectors, values, report } = await decompose(engine, m);
      assertEigh(m, vectors, values, d, `size ${d}`);
      equal(report.engine, "webgpu");
      ok(report.residual <= 1e-5 && report.orthogonality! <= 2e-6);
    }
  });
}

for (const root of [2, 3, 4, 6]) {
  gpuTest(`inverseRoot() of order ${root} multiplies out to the identity`, async (engine) => {
    for (const d of [1, 5, 64, 70]) {
      const m = gramMatrix(d, d), shift = 0.02;
      const input = stackOf(m);
      const { arrays: [x], reports: [report] } = await solve(
        engine,
        (linalg) => linalg.inverseRoot([{ name: "L", matrix: input, shift, root }]),
      );
      input.dispose();
      let product = plusIdentity(m, shift, d);
      const size = { m: d, k: d, n: d };
      for (let i = 0; i < root; i++) {
        product = reference.matMul(product, x as unknown as Float64Array, size);
      }
      const residual = frobenius(plusIdentity(product, -1, d)) / Math.sqrt(d);
      ok(residual <= 1e-4, `size ${d}: ${residual}`);
      equal(report.engine, "webgpu");
      assertSymmetric(x, d);
    }
  });
}

gpuTest("inverseRoot() answers roots that are not whole numbers, in float64", async (engine) => {
  const m = withSpectrum([1, 4, 9], 1);
  const input = stackOf(m);
  const { arrays: [x], reports: [report] } = await solve(
    engine,
    (linalg) => linalg.inverseRoot([{ name: "L", matrix: input, shift: 0, root: 2.5 }]),
  );
  input.dispose();
  const { values } = await reference.eigh(Float64Array.from(x), 3);
  [9, 4, 1].forEach((value, i) => ok(Math.abs(values[i] - value ** (-1 / 2.5)) < 1e-6));
  equal(report.engine, "float64");
});

gpuTest(
  "a matrix scaled by 1e30 or 1e-30 has the same eigenvectors and a scaled inverse",
  async (engine) => {
    const d = 40, m = gramMatrix(d, 5);
    for (const scale of [1e30, 1e-30]) {
      const scaled = m.map((value) => value * scale);
      const { vectors, values, report } = await decompose(engine, scaled);
      assertEigh(scaled, vectors, values, d, `scale ${scale}`);
      equal(report.engine, "webgpu");
      const { inverse, report: inverted } = await invert(engine, scaled, 0);
      const residual = inverseResidual(Float64Array.from(scaled), inverse, d);
      ok(residual < 1e-4, `${residual}`);
      equal(inverted.engine, "webgpu");
    }
  },
);

gpuTest("an inverse graded over 12 decades is redone in float64, and says so", async (engine) => {
  const d = 30, scales = logSpaced(d, 6);
  const m = gramMatrix(d, 4).map((value, at) =>
    value * scales[Math.floor(at / d)] * scales[at % d]
  );
  const shift = 1e-13;
  const { inverse, report } = await invert(engine, m, shift);
  equal(report.engine, "float64");
  const expected = await reference.choleskyInverse(plusIdentity(m, shift, d), d);
  ok(expected instanceof Float64Array);
  expected.forEach((value, at) => ok(Math.abs(value - inverse[at]) <= 1e-7 * Math.abs(value)));
});

gpuTest(
  "a singular matrix without damping is refused with a damping that serves",
  async (engine) => {
    const d = 20, m = gramMatrix(d, 6, 8);
    let serving = 0;
    await rejects(invert(engine, m, 0), (error: CurvdError) => {
      equal(error.code, "not-positive-definite");
      equal(error.facts.size, d);
      ok(typeof error.facts.pivot === "number" && typeof error.facts.index === "number");
      serving = Number(/damping ([\d.e-]+) would serve/.exec(error.facts.suggestion!)![1]);
      return true;
    });
    const { report } = await invert(engine, m, serving);
    ok(report.residual < 0.1);
  },
);

gpuTest("an eigenvalue below −τ is refused although the damping would hide it", async (engine) => {
  const d = 70; // two blocks
  const spectrum = logSpaced(d, 1);
  spectrum[10] = -0.01;
  const m = withSpectrum(spectrum, 8);
  await rejects(invert(engine, m, 1, 1e-4), (error: CurvdError) => {
    equal(error.code, "not-positive-definite");
    ok(Math.abs(error.facts.eigenvalue as number + 0.01) < 1e-5);
    equal(error.facts.limit, -1e-4);
    ok(/\d/.test(error.facts.suggestion!));
    return true;
  });
  const accepted = await invert(engine, m, 1, 0.02);
  equal(accepted.report.engine, "webgpu");
});

gpuTest(
  "eigenvalues in [−τ, 0) count as zero where the damping is too small to cover them",
  async (engine) => {
    const d = 12, shift = 1e-3;
    const spectrum = Float64Array.from({ length: d }, (_, i) => i === 3 ? -2e-3 : i + 1);
    const m = withSpectrum(spectrum, 9);
    const { inverse, report } = await invert(engine, m, shift, 5e-3);
    equal(report.clipped, 1);
    const { values } = await reference.eigh(Float64Array.from(inverse), d);
    ok(Math.abs(values[d - 1] * shift - 1) < 1e-3, `largest ${values[d - 1]}`);
  },
);

gpuTest("a shift computed on the device is added and reported", async (engine) => {
  const d = 10, matrices = [gramMatrix(d, 1), gramMatrix(d, 2)];
  const input = stackOf(...matrices), shift = tensor1d([0.1, 0.3]);
  const { arrays: [inverses], reports } = await solve(
    engine,
    (linalg) => linalg.choleskyInverse([{ name: "A", matrix: input, shift }]),
  );
  dispose([input, shift]);
  [0.1, 0.3].forEach((value, i) => {
    const x = inverses.subarray(i * d * d, (i + 1) * d * d);
    ok(inverseResidual(plusIdentity(matrices[i], value, d), x, d) < 1e-5);
    ok(Math.abs(reports[i].damping! - value) < 1e-7);
  });
});

gpuTest("a result has the same bits whatever else is in the call", async (engine) => {
  const sizes = fc.array(fc.integer({ min: 1, max: 150 }), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.integer({ min: 1, max: 150 }), async (others, d) => {
      const inputs = [d, ...others].map((size, i) => stackOf(gramMatrix(size, size + i)));
      const problems = inputs.map((matrix, i) => ({ name: `A${i}`, matrix, shift: 0.1 }));
      for (
        const ask of [
          (linalg: LinearAlgebra, some: typeof problems) => linalg.choleskyInverse(some),
          (linalg: LinearAlgebra, some: typeof problems) => linalg.eigh(some),
        ]
      ) {
        const together = await solve(engine, (linalg) => ask(linalg, [...problems].reverse()));
        const alone = await solve(engine, (linalg) => ask(linalg, problems.slice(0, 1)));
        const count = alone.arrays.length;
        deepEqual(together.arrays.slice(-count), alone.arrays);
      }
      dispose(inputs);
    }),
    { numRuns: 4 },
  );
});

gpuTest("verifyFully reports the exact residuals", async (engine) => {
  const d = 70, m = gramMatrix(d, 3), shift = 0.01;
  const input = stackOf(m);
  const { arrays: [inverse, vectors], reports: [inverted, based] } = await solve(
    engine,
    async (linalg) => [
      ...await linalg.choleskyInverse([{ name: "A", matrix: input, shift }]),
      ...await linalg.eigh([{ name: "A", matrix: input }]),
    ],
    { verifyFully: true },
  );
  input.dispose();
  const exact = inverseResidual(plusIdentity(m, shift, d), inverse, d);
  ok(Math.abs(inverted.residual - exact) <= 0.1 * exact + 1e-7, `${inverted.residual} ${exact}`);
  const gram = reference.matMul(
    vectors as unknown as Float64Array,
    vectors as unknown as Float64Array,
    {
      m: d,
      k: d,
      n: d,
      transposeA: true,
    },
  );
  const orthogonality = frobenius(plusIdentity(gram, -1, d)) / Math.sqrt(d);
  ok(Math.abs(based.orthogonality! - orthogonality) <= 0.1 * orthogonality + 1e-7);
});

gpuTest("numbers() reads scalars in the middle of work", async (engine) => {
  await settle(engine, async (linalg) => {
    const scalars = [scalar(3), scalar(5)];
    deepEqual(await linalg.numbers(scalars), [3, 5]);
    dispose(scalars);
    return { read: [], keep: [] };
  });
});
