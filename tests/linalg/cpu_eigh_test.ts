/**
 * The bars of the cpu engine's eigendecompositions, against float64, with a BLAS and without.
 */
import { ok } from "node:assert/strict";
import { ADVERSARIES, assertEighBars, eighOf, SIDES } from "../support/cpu_linalg.ts";
import { libraryTest } from "../support/libraries.ts";
import { gramMatrix, logSpaced, withSpectrum } from "../support/matrices.ts";

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

for (const [name, make] of Object.entries(ADVERSARIES)) {
  libraryTest(`eigh() keeps its bars on a matrix that is ${name}`, async (engine, library) => {
    for (const d of [1, 2, 33, ...(library === "blas" ? [127, 128, 129, 450] : [65, 129])]) {
      await assertEighBars(engine, make(d), d);
    }
  });
}
