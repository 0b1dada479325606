/**
 * Eigenvectors by way of a tridiagonal matrix on WebGPU: matrices whose reduction, deflation or merges have special cases,
 * and matrices of any size and scale.
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import fc from "fast-check";
import type { WebGpuEngine } from "@/engine/mod.ts";
import { gpuTest } from "../support/gpu.ts";
import { assertEigh, decompose, type Matrix } from "../support/gpu_linalg.ts";
import { gaussian, gramMatrix, logSpaced, uniform, withSpectrum } from "../support/matrices.ts";

/** Decomposed in float32, within the bounds of any other. */
async function assertDecomposed(engine: WebGpuEngine, m: Matrix, what: string) {
  const { vectors, values, report } = await decompose(engine, m);
  assertEigh(m, vectors, values, Math.sqrt(m.length), what);
  equal(report.engine, "webgpu", `${what} was rescued`);
  return values;
}

function symmetric(d: number, entry: (i: number, j: number) => number): Float32Array {
  const m = new Float32Array(d * d);
  for (let i = 0; i < d; i++) {
    for (let j = 0; j <= i; j++) m[i * d + j] = m[j * d + i] = entry(i, j);
  }
  return m;
}

/** Wilkinson's W⁺: eigenvalues that pair ever more closely. */
const wilkinson = (d: number) => (i: number, j: number) =>
  i === j ? Math.abs(i % d - (d - 1) / 2) : Number(i - j === 1 && i % d !== 0);

const SPECIAL: Record<string, (d: number) => Float32Array> = {
  "diagonal, descending": (d) => symmetric(d, (i, j) => i === j ? d - i : 0),
  "the second difference": (d) => symmetric(d, (i, j) => i === j ? 2 : i - j === 1 ? -1 : 0),
  "Wilkinson's": (d) => symmetric(d, wilkinson(d)),
  "Wilkinson's 21, glued by 1e-4": (d) =>
    symmetric(d, (i, j) => i - j === 1 && i % 21 === 0 ? 1e-4 : wilkinson(21)(i, j)),
  "an arrow": (d) => symmetric(d, (i, j) => i === j ? 1 + i / d : j === 0 ? 0.5 : 0),
  "blocks that know nothing of each other": (d) =>
    symmetric(d, (i, j) => i % 3 === j % 3 ? 1 / (1 + i - j) : 0),
  "of rank one": (d) => {
    const x = gaussian([d], 5);
    return symmetric(d, (i, j) => x[i] * x[j]);
  },
  "the identity and rank one": (d) => {
    const x = gaussian([d], 6);
    return symmetric(d, (i, j) => Number(i === j) + x[i] * x[j]);
  },
  "of two eigenvalues": (d) => withSpectrum(Float64Array.from({ length: d }, (_, i) => i % 2), 3),
  "all but one eigenvalue equal": (d) =>
    withSpectrum(Float64Array.from({ length: d }, (_, i) => i === 7 ? -3 : 1), 4),
  "one eigenvalue of a billion": (d) =>
    withSpectrum(Float64Array.from({ length: d }, (_, i) => i === 0 ? 1e9 : i / d), 8),
  "zero but for a corner": (d) => symmetric(d, (i, j) => Number(Math.min(i, j) >= d - 2)),
  "zero but for the other corner": (d) => symmetric(d, (i, j) => Number(Math.max(i, j) < 2)),
  "half there, half too small to square": (d) => {
    const [whole, m] = [gramMatrix(d, 9), gramMatrix(d, 10)];
    return symmetric(
      d,
      (i, j) =>
        (i - d / 2) * (j - d / 2) < 0 ? 0 : i < d / 2 ? whole[i * d + j] : 1e-20 * m[i * d + j],
    );
  },
  "negative definite": (d) => gramMatrix(d, 9).map((value) => -value),
};

for (const [what, matrix] of Object.entries(SPECIAL)) {
  gpuTest(`the way by a tridiagonal matrix serves one that is ${what}`, async (engine) => {
    for (const d of [40, 65, 130]) await assertDecomposed(engine, matrix(d), `${what}, ${d}`);
  });
}

gpuTest("eigenvalues of the second difference are those of the formula", async (engine) => {
  const d = 200;
  const values = await assertDecomposed(engine, SPECIAL["the second difference"](d), "differences");
  values.forEach((value, i) => {
    const exact = 4 * Math.sin((i + 1) * Math.PI / (2 * (d + 1))) ** 2;
    ok(Math.abs(value - exact) < 5e-6, `${i}: ${value}, ${exact}`);
  });
});

gpuTest("every number of leaves merges, also where a block has no partner", async (engine) => {
  for (const d of [127, 191, 256, 300, 321, 449]) {
    await assertDecomposed(engine, gramMatrix(d, d), `${d}`);
  }
});

gpuTest("what is not a number beside a matrix leaves it as it is", async (engine) => {
  const d = 130, m = gramMatrix(d, 11);
  const alone = await decompose(engine, m);
  const broken = m.map((value, at) => at === 77 * d + 78 || at === 78 * d + 77 ? NaN : value);
  const [beside, failed] = await Promise.allSettled([
    decompose(engine, m),
    decompose(engine, broken),
  ]);
  equal(failed.status, "rejected");
  ok(beside.status === "fulfilled");
  equal(beside.value.report.engine, "webgpu");
  deepEqual(beside.value.vectors, alone.vectors);
  deepEqual(beside.value.values, alone.values);
});

gpuTest("matrices of any spectrum, size and scale keep their bounds", async (engine) => {
  const spectra = fc.oneof(
    fc.integer({ min: 0, max: 12 }).map((decades) => (d: number) => logSpaced(d, decades)),
    fc.integer({ min: 1, max: 9 }).map((kinds) => (d: number) =>
      Float64Array.from({ length: d }, (_, i) => i % kinds - 2)
    ),
    fc.integer().map((seed) => (d: number) => {
      const next = uniform(seed);
      return Float64Array.from({ length: d }, () => (next() < 0.5 ? -1 : 1) * next() ** 8);
    }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 33, max: 200 }),
      spectra,
      fc.integer({ min: -30, max: 30 }),
      fc.integer({ min: 1, max: 1000 }),
      async (d, spectrum, exponent, seed) => {
        const m = withSpectrum(spectrum(d).map((value) => value * 10 ** exponent), seed);
        const { vectors, values, report } = await decompose(engine, m);
        equal(report.engine, "webgpu");
        const scale = 10 ** -exponent; // the exact check squares entries
        assertEigh(m.map((x) => x * scale), vectors, values.map((x) => x * scale), d, `${d}`);
      },
    ),
    { numRuns: 25 },
  );
});
