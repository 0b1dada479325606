/**
 * The WebGPU linear algebra against float64, at the edges of its tiles, by property, and on the
 * inputs that break eigensolvers.
 */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { dispose, scalar, type Tensor, tensor1d, tensor3d } from "@tensorflow/tfjs-core";
import fc from "fast-check";
import type { CurvdError } from "@/errors.ts";
import type { WebGpuEngine } from "@/engine/mod.ts";
import { type LinearAlgebra, type Report, settle, type Stack } from "@/linalg/mod.ts";
import { gpuTest } from "../support/gpu.ts";
import { gramMatrix, logSpaced, withSpectrum } from "../support/matrices.ts";
import { lowerInverse, reference } from "../support/reference.ts";

type Matrix = Float32Array | Float64Array;

/** Tile edges: below, at and above 16, 32, 64, 128, and something in between. */
const SIZES = [1, 2, 3, 16, 17, 33, 63, 64, 65, 127, 128, 129, 200];

/** A stack of matrices of one size. */
function stackOf(...matrices: Matrix[]): Stack {
  const d = Math.sqrt(matrices[0].length);
  const values = new Float32Array(matrices.length * d * d);
  matrices.forEach((matrix, i) => values.set(matrix, i * d * d));
  return tensor3d(values, [matrices.length, d, d]);
}

interface Solved {
  readonly arrays: Float32Array[];
  readonly reports: Report[];
}

/** Settles one call and reads its tensors. */
async function solve(
  engine: WebGpuEngine,
  work: (linalg: LinearAlgebra) => Promise<readonly { reports: Report[] }[]>,
  options: { verifyFully?: boolean } = {},
): Promise<Solved> {
  const { arrays, keep } = await settle(engine, async (linalg) => {
    const results = await work(linalg);
    const read = results.flatMap((result): Tensor[] =>
      Object.values<object>(result).filter((value): value is Tensor => "dataId" in value)
    );
    return { read, keep: results.flatMap(({ reports }) => reports) };
  }, options);
  return { arrays, reports: keep };
}

async function invert(engine: WebGpuEngine, matrix: Matrix, shift: number, tolerance?: number) {
  const input = stackOf(matrix);
  const negativeTolerance = tolerance === undefined ? undefined : [tolerance];
  try {
    const { arrays, reports } = await solve(
      engine,
      (linalg) =>
        linalg.choleskyInverse([{ name: "fc A", matrix: input, shift, negativeTolerance }]),
    );
    return { inverse: arrays[0], report: reports[0] };
  } finally {
    input.dispose();
  }
}

async function decompose(engine: WebGpuEngine, matrix: Matrix, warmStart?: Stack) {
  const input = stackOf(matrix);
  const { arrays: [vectors, values], reports: [report] } = await solve(
    engine,
    (linalg) => linalg.eigh([{ name: "fc A", matrix: input, warmStart }]),
  );
  input.dispose();
  return { vectors, values, report };
}

function plusIdentity(matrix: Matrix, shift: number, d: number): Float64Array {
  const sum = Float64Array.from(matrix);
  for (let i = 0; i < d; i++) sum[i * (d + 1)] += shift;
  return sum;
}

function frobenius(x: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * x[i];
  return Math.sqrt(sum);
}

/** `‖XM − I‖_F/√d`, exactly. */
function inverseResidual(m: Float64Array, x: Matrix, d: number): number {
  const product = reference.matMul(x as Float64Array, m, { m: d, k: d, n: d });
  return frobenius(plusIdentity(product, -1, d)) / Math.sqrt(d);
}

function conditionOf(m: Float64Array, x: Matrix): number {
  return frobenius(m) * frobenius(x);
}

/** Residual, orthogonality and order of an eigendecomposition, exactly. */
function assertEigh(m: Matrix, vectors: Matrix, values: Matrix, d: number, what: string) {
  const size = { m: d, k: d, n: d };
  const mq = reference.matMul(Float64Array.from(m), vectors as Float64Array, size);
  const missed = mq.map((value, at) => value - vectors[at] * values[at % d]);
  const gram = reference.matMul(vectors as Float64Array, vectors as Float64Array, {
    ...size,
    transposeA: true,
  });
  const scale = frobenius(Float64Array.from(m)) || 1;
  const residual = frobenius(missed) / scale;
  const orthogonality = frobenius(plusIdentity(gram, -1, d)) / Math.sqrt(d);
  ok(residual <= 1e-5, `${what}: residual ${residual}`);
  ok(orthogonality <= 2e-6, `${what}: orthogonality ${orthogonality}`);
  for (let i = 1; i < d; i++) ok(values[i - 1] <= values[i], `${what}: not ascending at ${i}`);
}

function assertSymmetric(x: Float32Array, d: number) {
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < i; j++) ok(Object.is(x[i * d + j], x[j * d + i]), `at ${i}, ${j}`);
  }
}

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

gpuTest("a warm start takes fewer sweeps than a cold one and is as good", async (engine) => {
  const d = 160, decay = 0.95;
  const before = gramMatrix(d, 1), fresh = gramMatrix(d, 2);
  const after = before.map((value, i) => decay * value + (1 - decay) * fresh[i]);
  const { vectors } = await decompose(engine, before);
  const basis = stackOf(vectors);
  const cold = await decompose(engine, after);
  const warm = await decompose(engine, after, basis);
  basis.dispose();
  assertEigh(after, warm.vectors, warm.values, d, "warm");
  ok(warm.report.sweeps! <= 4, `warm ${warm.report.sweeps}`);
  ok(warm.report.sweeps! < cold.report.sweeps!, `cold ${cold.report.sweeps}`);
  cold.values.forEach((value, i) => ok(Math.abs(value - warm.values[i]) < 1e-5));
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
