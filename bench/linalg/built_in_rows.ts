/**
 * The cpu engine without a BLAS against ml-matrix, what a JavaScript user has today.
 *
 * @module
 */
import { dispose } from "@tensorflow/tfjs-core";
import { EigenvalueDecomposition, inverse, Matrix } from "ml-matrix";
import { openEngine } from "@/engine/mod.ts";
import { contest, here } from "./contest.ts";
import { DAMPING, factor } from "./matrices.ts";
import { type Row, row } from "./row.ts";
import { type Operation, solve } from "./solve.ts";

const BAR = 0.7;

export async function* builtInRows(sizes: readonly number[]): AsyncGenerator<Row> {
  const engine = await openEngine({ engine: "cpu", blas: "off" });
  for (const n of sizes) {
    const matrix = factor(n, n);
    const theirs = Matrix.from1DArray(n, n, [...await matrix.data()]);
    for (let i = 0; i < n; i++) theirs.set(i, i, theirs.get(i, i) + DAMPING);
    const mlMatrix: Record<Operation, () => unknown> = {
      eigh: () => new EigenvalueDecomposition(theirs, { assumeSymmetric: true }),
      inverse: () => inverse(theirs),
    };
    for (const operation of ["eigh", "inverse"] as const) {
      const [{ residual }] = await solve(engine, operation, [matrix]);
      const result = await contest(
        here("curvd", () => solve(engine, operation, [matrix])),
        [here("ml-matrix", () => Promise.resolve(mlMatrix[operation]()))],
      );
      yield row({ engine: "built-in", work: `${operation} ${n}`, ...result, bar: BAR, residual });
    }
    dispose(matrix);
  }
}
