/**
 * `M = Q diag(w) Qᵀ` on the host.
 *
 * A warm start is of no use here: LAPACK's tridiagonalization does not see how nearly diagonal its matrix is. Measured at 256
 * after a step of decay 0.95: 9.3 ms cold, 10.4 ms for the matrix rotated into the old basis, and 1.3 ms for the rotation.
 *
 * @module
 */
import { sumOfSquares } from "@/engine/host.ts";
import { isEighGood } from "./bounds.ts";
import { exactEigh } from "./exact_cpu.ts";
import type { Report } from "./linear_algebra.ts";
import { judgeEigh } from "./probes_cpu.ts";
import { eighCondition, rescueEigh } from "./rescue.ts";
import type { Host, HostMatrix } from "./solver_cpu.ts";
import { rescale, scaleOf } from "./scaling_cpu.ts";
import { transposeSquare } from "./transpose_cpu.ts";

export interface SolvedEigh {
  /** `Q [d, d]`, eigenvectors in columns. */
  readonly vectors: Float32Array<ArrayBuffer>;
  /** `[d]`, ascending. */
  readonly values: Float32Array<ArrayBuffer>;
  readonly report: Report;
}

/** @throws CurvdError `not-converged`, or `not-positive-definite` below −τ. */
export async function decompose(host: Host, problem: HostMatrix): Promise<SolvedEigh> {
  const solved = host.blas === null ? null : await decomposeInFloat32(host, problem);
  return solved ?? await rescueEigh(host.float64, problem);
}

/** Divide and conquer; null where it did not converge, missed its bound, or found an eigenvalue below −τ. */
async function decomposeInFloat32(host: Host, problem: HostMatrix): Promise<SolvedEigh | null> {
  const norm = Math.sqrt(sumOfSquares(problem.matrix));
  if (!Number.isFinite(norm)) return null; // LAPACK may not return from a NaN
  const { d } = problem;
  return await host.blas!.scratch.lend(d * d, (rows) => decomposeIn(rows, host, problem, norm));
}

/** @param rows `[d, d]`, takes the eigenvectors in its rows. */
async function decomposeIn(
  rows: Float32Array<ArrayBuffer>,
  { blas: library, float64, verifyFully, lane }: Host,
  { matrix, d, negativeTolerance }: HostMatrix,
  norm: number,
): Promise<SolvedEigh | null> {
  const blas = library!;
  const scale = scaleOf(norm);
  rows.set(matrix);
  rescale(rows, scale);
  const values = await blas.eigh(rows, d, lane);
  if (values === null) return null;
  rescale(values, 1 / scale);
  if (negativeTolerance !== undefined && !(values[0] >= -negativeTolerance)) return null;

  const vectors = transposeSquare(blas, rows, d);
  const errors = verifyFully
    ? exactEigh(float64, { matrix, norm, d, vectors, values })
    : judgeEigh(blas, { matrix, norm, d, rows, values });
  if (!isEighGood(errors, d)) return null;
  const negative = values.findIndex((value) => value >= 0);
  return {
    vectors,
    values,
    report: {
      ...errors,
      condition: eighCondition(values),
      negative: negative < 0 ? d : negative,
      engine: "blas",
    },
  };
}
