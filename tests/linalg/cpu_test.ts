/**
 * What holds for all operations of the cpu engine's linear algebra, with a BLAS and without.
 */
import { dispose, scalar, tensor1d, tidy } from "@tensorflow/tfjs-core";
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import fc from "fast-check";
import { inverseResidualBound } from "@/linalg/bounds.ts";
import { exactInverseResidual } from "@/linalg/exact_cpu.ts";
import {
  assertEighBars,
  eighOf,
  inverseOf,
  linalgOf,
  refused,
  stackOf,
} from "../support/cpu_linalg.ts";
import { libraryTest } from "../support/libraries.ts";
import { gaussian, gramMatrix, logSpaced, withSpectrum } from "../support/matrices.ts";

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
