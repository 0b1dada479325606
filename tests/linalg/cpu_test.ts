/**
 * The bars of the cpu engine's linear algebra, against float64, with a BLAS and without.
 */
import { dispose, scalar, tensor1d, tensor3d, tidy } from "@tensorflow/tfjs-core";
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import fc from "fast-check";
import { CurvdError } from "@/errors.ts";
import type { CpuEngine } from "@/engine/mod.ts";
import { eighResidualBound, inverseResidualBound, orthogonalityBound } from "@/linalg/bounds.ts";
import { CpuLinearAlgebra } from "@/linalg/cpu.ts";
import { exactEigh, exactInverseResidual } from "@/linalg/exact_cpu.ts";
import type { EighResult, Report, Stack } from "@/linalg/linear_algebra.ts";
import { type Library, libraryTest } from "../support/libraries.ts";
import { gaussian, gramMatrix, logSpaced, withSpectrum } from "../support/matrices.ts";

type Matrix = Float32Array<ArrayBuffer>;

function linalgOf(engine: CpuEngine, verifyFully = false): CpuLinearAlgebra {
  return new CpuLinearAlgebra(engine, { rescued: new Set(), verifyFully });
}

function stackOf(matrices: readonly Matrix[], d: number): Stack {
  const values = new Float32Array(matrices.length * d * d);
  matrices.forEach((matrix, at) => values.set(matrix, at * d * d));
  return tensor3d(values, [matrices.length, d, d]);
}

/** `‖M‖_F` in float64. */
function norm(matrix: Matrix): number {
  return Math.sqrt(matrix.reduce((sum, value) => sum + value ** 2, 0));
}

async function eighOf(engine: CpuEngine, matrix: Matrix, d: number, verifyFully = false) {
  const input = stackOf([matrix], d);
  const [result] = await linalgOf(engine, verifyFully).eigh([{ name: "M", matrix: input }]);
  const read = await readEigh(result);
  dispose(input);
  return read;
}

async function readEigh({ vectors, values, reports }: EighResult) {
  const read = {
    vectors: (await vectors.data()).slice() as Matrix,
    values: (await values.data()).slice() as Matrix,
    report: reports[0],
  };
  dispose([vectors, values]);
  return read;
}

async function inverseOf(
  engine: CpuEngine,
  matrix: Matrix,
  d: number,
  shift: number,
  negativeTolerance?: number,
): Promise<{ inverse: Matrix; report: Report }> {
  const input = stackOf([matrix], d);
  try {
    const [{ inverse, reports }] = await linalgOf(engine).choleskyInverse([{
      name: "M",
      matrix: input,
      shift,
      ...(negativeTolerance === undefined ? {} : { negativeTolerance: [negativeTolerance] }),
    }]);
    const values = (await inverse.data()).slice() as Matrix;
    dispose(inverse);
    return { inverse: values, report: reports[0] };
  } finally {
    dispose(input);
  }
}

/** Sides by library: the built-in is for machines without a BLAS and gets the smaller ones. */
const SIDES: Record<Library, number[]> = {
  blas: [1, 2, 3, 16, 63, 64, 65, 128, 200, 512],
  "built-in": [1, 2, 3, 16, 63, 64, 65, 128, 200],
};

async function assertEighBars(engine: CpuEngine, matrix: Matrix, d: number): Promise<void> {
  const { vectors, values, report } = await eighOf(engine, matrix, d);
  const errors = exactEigh(engine.float64, { matrix, norm: norm(matrix), d, vectors, values });
  ok(errors.residual <= eighResidualBound(d), `residual ${errors.residual} at ${d}`);
  ok(
    errors.orthogonality <= orthogonalityBound(d),
    `orthogonality ${errors.orthogonality} at ${d}`,
  );
  for (let i = 1; i < d; i++) ok(values[i - 1] <= values[i], `ascending at ${d}`);
  ok(Number.isFinite(report.residual) && Number.isFinite(report.orthogonality));
}

libraryTest(
  "eigh() keeps residual ≤ 1e-5 and orthogonality ≤ 2e-6 on Gram matrices and 6-decade spectra",
  async (engine, library) => {
    for (const d of SIDES[library]) {
      await assertEighBars(engine, gramMatrix(d, d, 2 * d), d);
      await assertEighBars(engine, withSpectrum(logSpaced(d, 6), d), d);
    }
  },
);

libraryTest(
  "eigh() gives the eigenvalues of float64 to 2e-6 of the largest",
  async (engine, library) => {
    for (const d of [3, 33, 100]) {
      const matrix = gramMatrix(d, 3 * d);
      const { values } = await eighOf(engine, matrix, d);
      const exact = (await engine.float64.eigh(Float64Array.from(matrix), d)).values;
      exact.forEach((value, i) => ok(Math.abs(values[i] - value) <= 2e-6 * exact[d - 1], library));
    }
  },
);

/** Spectra that break careless solvers, at sides around powers of two. */
const ADVERSARIES: Record<string, (d: number) => Matrix> = {
  zero: (d) => new Float32Array(d * d),
  identity: (d) => withSpectrum(new Float64Array(d).fill(1), d),
  "rank-deficient": (d) => gramMatrix(d, d, Math.ceil(d / 3)),
  repeated: (d) => withSpectrum(Float64Array.from({ length: d }, (_, i) => 1 + i % 3), d),
  "graded over 12 decades": (d) => withSpectrum(logSpaced(d, 12), d),
  "at scale 1e30": (d) => gramMatrix(d, d).map((value) => value * 1e30),
  "at scale 1e-30": (d) => gramMatrix(d, d).map((value) => value * 1e-30),
  indefinite: (d) => withSpectrum(Float64Array.from({ length: d }, (_, i) => i - d / 2), d),
};

for (const [name, make] of Object.entries(ADVERSARIES)) {
  libraryTest(`eigh() keeps its bars on a matrix that is ${name}`, async (engine, library) => {
    for (const d of [1, 2, 33, ...(library === "blas" ? [127, 128, 129, 450] : [65])]) {
      await assertEighBars(engine, make(d), d);
    }
  });
}

libraryTest("choleskyInverse() keeps its residual within 3e-8·cond·√n", async (engine, library) => {
  for (const d of SIDES[library]) {
    for (const decades of [1, 4, 6]) {
      const matrix = withSpectrum(logSpaced(d, decades), d);
      const shift = 1e-7;
      const { inverse, report } = await inverseOf(engine, matrix, d, shift);
      const residual = exactInverseResidual(engine.float64, { matrix, shift, d }, inverse);
      const condition = d === 1 ? 1 : 10 ** decades;
      ok(residual <= 3e-8 * condition * Math.sqrt(d) + 1e-6, `${residual} at ${d}, ${decades}`);
      ok(
        report.condition <= 1.5 * condition && report.condition >= condition / 30,
        `${report.condition} for ${condition} at ${d}`,
      );
      for (let i = 0; i < d; i++) {
        for (let j = 0; j < i; j++) equal(inverse[i * d + j], inverse[j * d + i]);
      }
    }
  }
});

libraryTest(
  "choleskyInverse() inverts what is rank-deficient, graded or far from 1, once damped",
  async (engine, library) => {
    const cases = {
      "rank-deficient": 1e-3,
      "graded over 12 decades": 1e-4,
      "at scale 1e30": 1e27,
      "at scale 1e-30": 1e-33,
    };
    for (const [name, shift] of Object.entries(cases)) {
      for (const d of [1, 2, 33, ...(library === "blas" ? [127, 128, 129, 600] : [65])]) {
        const matrix = ADVERSARIES[name](d);
        const { inverse, report } = await inverseOf(engine, matrix, d, shift);
        const residual = exactInverseResidual(engine.float64, { matrix, shift, d }, inverse);
        ok(
          residual <= inverseResidualBound(report.condition * 2, d),
          `${name} at ${d}: ${residual}`,
        );
      }
    }
  },
);

libraryTest("a result over its bound is redone in float64 and says so", async (engine) => {
  const matrix = withSpectrum(logSpaced(60, 9), 1);
  const { inverse, report } = await inverseOf(engine, matrix, 60, 3e-9);
  equal(report.engine, "float64");
  ok(exactInverseResidual(engine.float64, { matrix, shift: 3e-9, d: 60 }, inverse) < 1);
});

libraryTest("whiten() gives a lower triangle W with W M Wᵀ = I", async (engine, library) => {
  for (const d of [1, 2, 65, ...(library === "blas" ? [200, 600] : [100])]) {
    const matrix = gramMatrix(d, d), shift = 1e-2;
    const input = stackOf([matrix], d);
    const [{ whitener, reports }] = await linalgOf(engine).whiten([{
      name: "M",
      matrix: input,
      shift,
    }]);
    const w = Float64Array.from(await whitener.data());
    dispose([input, whitener]);
    for (let i = 0; i < d; i++) for (let j = i + 1; j < d; j++) equal(w[i * d + j], 0);
    const size = { m: d, k: d, n: d };
    const damped = Float64Array.from(
      matrix,
      (value, at) => value + (at % (d + 1) === 0 ? shift : 0),
    );
    const product = engine.float64.matMul(engine.float64.matMul(w, damped, size), w, {
      ...size,
      transposeB: true,
    });
    product.forEach((value, at) =>
      ok(Math.abs(value - Number(at % (d + 1) === 0)) <= 2e-5, `${d}`)
    );
    ok(reports[0].residual <= 1e-5);
  }
});

libraryTest(
  "inverseRoot() to the power p gives the inverse back, to 2e-5 and symmetric to the bit",
  async (engine, library) => {
    for (const d of [1, 2, 20, ...(library === "blas" ? [150] : [])]) {
      for (const root of [1, 2, 3, 4, 8]) {
        for (const decades of [1, 2, 6]) {
          const matrix = withSpectrum(logSpaced(d, decades), d + root);
          const input = stackOf([matrix], d);
          const shift = 1e-6;
          const [{ root: result, reports }] = await linalgOf(engine).inverseRoot([{
            name: "M",
            matrix: input,
            shift,
            root,
          }]);
          const x = (await result.data()).slice();
          dispose([input, result]);
          const { values, vectors } = await engine.float64.eigh(Float64Array.from(matrix), d);
          const scaled = vectors.map((value, at) =>
            value * (Math.max(values[at % d], 0) + shift) ** (-1 / root)
          );
          const exact = engine.float64.matMul(scaled, vectors, {
            m: d,
            k: d,
            n: d,
            transposeB: true,
          });
          let error = 0, size = 0;
          exact.forEach((value, at) => {
            error += (x[at] - value) ** 2;
            size += value ** 2;
          });
          ok(
            Math.sqrt(error / size) <= 2e-5,
            `${Math.sqrt(error / size)} at ${d}, 1/${root}, ${decades} decades`,
          );
          equal(reports.length, 1);
          for (let i = 0; i < d; i++) for (let j = 0; j < i; j++) equal(x[i * d + j], x[j * d + i]);
        }
      }
    }
  },
);

function refused(run: Promise<unknown>, check: (error: CurvdError) => void): Promise<void> {
  return rejects(run, (error) => {
    ok(error instanceof CurvdError, String(error));
    check(error);
    return true;
  });
}

libraryTest(
  "an indefinite matrix is refused with its eigenvalue and a damping that serves",
  async (engine) => {
    const d = 30;
    const matrix = withSpectrum(
      Float64Array.from({ length: d }, (_, i) => i === 0 ? -0.5 : 1 + i),
      2,
    );
    let serving = NaN;
    await refused(inverseOf(engine, matrix, d, 1e-3, 1e-4), ({ code, facts }) => {
      equal(code, "not-positive-definite");
      ok(Math.abs(facts.eigenvalue as number + 0.5) < 1e-4);
      equal(facts.size, d);
      serving = Number(/damping of ([\d.e+-]+)/.exec(facts.suggestion!)![1]);
    });
    const damped = matrix.map((value, at) => value + (at % (d + 1) === 0 ? serving : 0));
    await inverseOf(engine, damped, d, 1e-3, 1e-4);
  },
);

libraryTest(
  "an indefinite matrix is refused also where the damping would hide it",
  async (engine) => {
    const matrix = withSpectrum([-0.5, 1, 2, 3], 2);
    await refused(
      inverseOf(engine, matrix, 4, 10, 1e-4),
      ({ code }) => equal(code, "not-positive-definite"),
    );
    await inverseOf(engine, matrix, 4, 10, 0.51); // within τ it counts as zero
  },
);

libraryTest(
  "a singular matrix at damping 0 is refused with its pivot, and the damping named serves",
  async (engine) => {
    for (const d of [2, 40, 150]) {
      const matrix = gramMatrix(d, d, Math.max(1, Math.floor(d / 2)));
      let serving = NaN;
      await refused(inverseOf(engine, matrix, d, 0), ({ code, facts }) => {
        equal(code, "not-positive-definite");
        equal(typeof facts.pivot, "number");
        equal(facts.damping, 0);
        serving = Number(/damping ([\d.e+-]+) would serve/.exec(facts.suggestion!)![1]);
      });
      await inverseOf(engine, matrix, d, serving);
    }
  },
);

libraryTest("eigh() refuses an eigenvalue below −τ and counts those above it", async (engine) => {
  const matrix = withSpectrum([-0.5, -0.25, 1, 2, 3], 2);
  const input = stackOf([matrix], 5);
  const linalg = linalgOf(engine);
  await refused(
    linalg.eigh([{ name: "A", matrix: input, negativeTolerance: [0.4] }]),
    ({ code }) => equal(code, "not-positive-definite"),
  );
  const [result] = await linalg.eigh([{ name: "A", matrix: input, negativeTolerance: [0.6] }]);
  equal(result.reports[0].negative, 2);
  dispose([input, result.vectors, result.values]);
});

libraryTest(
  "NaN and infinity are refused by every operation, and the engine works afterwards",
  async (engine) => {
    for (const poison of [NaN, Infinity]) {
      const matrix = gramMatrix(70, 1);
      matrix[3 * 70 + 5] = matrix[5 * 70 + 3] = poison;
      const input = stackOf([matrix], 70);
      const linalg = linalgOf(engine);
      const problem = { name: "A", matrix: input, shift: 0.1 };
      await refused(linalg.choleskyInverse([problem]), () => {});
      await refused(linalg.whiten([problem]), () => {});
      await refused(linalg.eigh([problem]), () => {});
      await refused(linalg.inverseRoot([{ ...problem, root: 2 }]), () => {});
      dispose(input);
    }
    await inverseOf(engine, gramMatrix(70, 1), 70, 0.1);
  },
);

libraryTest(
  "the first refusal in the list is the one reported, and no tensor is left",
  async (engine) => {
    const good = stackOf([gramMatrix(300, 1)], 300), bad = stackOf([withSpectrum([-1, 1], 1)], 2);
    await refused(
      linalgOf(engine).choleskyInverse([
        { name: "good", matrix: good, shift: 1 },
        { name: "first", matrix: bad, shift: 0 },
        { name: "second", matrix: bad, shift: 0 },
      ]),
      ({ message }) => ok(message.includes("first"), message),
    );
    dispose([good, bad]);
  },
);

libraryTest(
  "results have the same bits alone, in a stack, among others and twice",
  async (engine, library) => {
    const sides = library === "blas" ? [5, 64, 130, 600] : [5, 64, 130];
    const problemOf = (d: number) => ({
      name: `M${d}`,
      matrix: stackOf([gramMatrix(d, d)], d),
      shift: 1e-2,
      root: 4,
    });
    const problems = sides.map(problemOf);
    const crowd = Array.from({ length: 6 }, (_, at) => problemOf(40 + at));
    const linalg = linalgOf(engine);
    const operations = {
      choleskyInverse: async (list: typeof problems) =>
        (await linalg.choleskyInverse(list)).map(({ inverse }) => inverse),
      whiten: async (list: typeof problems) =>
        (await linalg.whiten(list)).map(({ whitener }) => whitener),
      eigh: async (list: typeof problems) =>
        (await linalg.eigh(list)).map(({ vectors, values }) => {
          values.dispose();
          return vectors;
        }),
      inverseRoot: async (list: typeof problems) =>
        (await linalg.inverseRoot(list)).map(({ root }) => root),
    };
    for (const [name, operation] of Object.entries(operations)) {
      for (const [at, problem] of problems.entries()) {
        const [alone] = await operation([problem]);
        const together = await operation([...crowd, ...problems, ...crowd]);
        deepEqual(
          await together[crowd.length + at].data(),
          await alone.data(),
          `${name} ${sides[at]}`,
        );
        dispose([alone, ...together]);
      }
    }
    const d = 64;
    const stack = stackOf([gramMatrix(d, 1), gramMatrix(d, d), gramMatrix(d, 2)], d);
    const [{ inverse }] = await linalg.choleskyInverse([{ name: "S", matrix: stack, shift: 1e-2 }]);
    const [{ inverse: alone }] = await linalg.choleskyInverse([problems[1]]);
    deepEqual((await inverse.data()).slice(d * d, 2 * d * d), await alone.data());
    dispose([
      stack,
      inverse,
      alone,
      ...problems.map(({ matrix }) => matrix),
      ...crowd.map(({ matrix }) => matrix),
    ]);
  },
);

libraryTest("inputs are left as they were", async (engine) => {
  const matrix = gramMatrix(50, 1);
  const input = stackOf([matrix], 50);
  const linalg = linalgOf(engine);
  const problem = { name: "M", matrix: input, shift: 0.1, root: 2, negativeTolerance: [1e-3] };
  const [{ inverse }] = await linalg.choleskyInverse([problem]);
  const [{ whitener }] = await linalg.whiten([problem]);
  const [{ vectors, values }] = await linalg.eigh([problem]);
  const [{ root }] = await linalg.inverseRoot([problem]);
  deepEqual(await input.data(), matrix);
  dispose([input, inverse, whitener, vectors, values, root]);
});

libraryTest("a shift may be a tensor with one number a matrix", async (engine) => {
  const d = 10;
  const matrices = [gramMatrix(d, 1), gramMatrix(d, 2)];
  const input = stackOf(matrices, d), shift = tensor1d([0.1, 10]);
  const [{ inverse, reports }] = await linalgOf(engine).choleskyInverse([{
    name: "M",
    matrix: input,
    shift,
  }]);
  const values = await inverse.data();
  for (const [at, damping] of [Math.fround(0.1), 10].entries()) {
    deepEqual(
      values.slice(at * d * d, (at + 1) * d * d),
      (await inverseOf(engine, matrices[at], d, damping)).inverse,
    );
    equal(reports[at].damping, damping);
  }
  dispose([input, shift, inverse]);
});

libraryTest(
  "estimated residuals are within a factor of 4 of those computed in full",
  async (engine) => {
    const d = 128;
    const matrix = withSpectrum(logSpaced(d, 3), 1);
    const estimated = (await eighOf(engine, matrix, d)).report;
    const exact = (await eighOf(engine, matrix, d, true)).report;
    for (const key of ["residual", "orthogonality"] as const) {
      const ratio = estimated[key]! / exact[key]!;
      ok(ratio > 0.25 && ratio < 4, `${key}: ${ratio}`);
    }
  },
);

libraryTest("numbers() reads scalars in order", async (engine) => {
  const scalars = tidy(() => [scalar(1), scalar(-2.5), scalar(0)]);
  deepEqual(await linalgOf(engine).numbers(scalars), [1, -2.5, 0]);
  dispose(scalars);
});

libraryTest(
  "eigh() and choleskyInverse() hold their bars on random matrices of any shape",
  async (engine) => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 48 }),
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: -20, max: 20 }),
        fc.nat(),
        async (d, rows, exponent, seed) => {
          const scale = 10 ** exponent;
          const matrix = gramMatrix(d, seed, rows).map((value) => value * scale);
          await assertEighBars(engine, matrix, d);
          const shift = scale / 10;
          const { inverse, report } = await inverseOf(engine, matrix, d, shift);
          const residual = exactInverseResidual(engine.float64, { matrix, shift, d }, inverse);
          ok(residual <= inverseResidualBound(2 * report.condition, d));
        },
      ),
      { numRuns: 25 },
    );
  },
);

libraryTest("the event loop turns while a large matrix is factored", async (engine) => {
  const d = 700;
  const input = stackOf([withSpectrum(gaussian([d], 1), 1)], d);
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const [{ vectors, values }] = await linalgOf(engine).eigh([{ name: "M", matrix: input }]);
  clearInterval(timer);
  ok(turns >= 5, `${turns} turns`);
  dispose([input, vectors, values]);
}, ["blas"]);
