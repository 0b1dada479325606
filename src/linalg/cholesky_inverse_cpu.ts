/**
 * `(M + shift·I)⁻¹` on the host: float32 LAPACK, judged; float64 where there is no LAPACK or its result misses its bound.
 *
 * @module
 */
import { mirrorLower } from "@/engine/host.ts";
import { isInverseGood } from "./bounds.ts";
import { exactInverseResidual } from "./exact_cpu.ts";
import { hasNoEigenvalueBelow, invertInFloat64 } from "./float64_cpu.ts";
import { judgeInverse } from "./probes_cpu.ts";
import { rescueInverse } from "./rescue.ts";
import { prepare, rescale } from "./scaling_cpu.ts";
import type { Host, ShiftedMatrix, Solved } from "./solver_cpu.ts";

/** @throws CurvdError `not-positive-definite`, `overflow`. */
export async function invert(host: Host, problem: ShiftedMatrix): Promise<Solved> {
  const solved = host.blas === null
    ? await invertInFloat64(host, problem)
    : await invertInFloat32(host, problem);
  return solved ?? await rescueInverse(host.float64, problem);
}

/** Cholesky, a mirror; null where a pivot failed or the result missed its bound. */
async function invertInFloat32(
  { blas: library, float64, verifyFully, lane }: Host,
  problem: ShiftedMatrix,
): Promise<Solved | null> {
  const blas = library!;
  const { d, shift: damping } = problem;
  const inverse = new Float32Array(d * d);
  const { matrix, shift, scale } = prepare(problem, inverse);
  if (await blas.choleskyInverse(inverse, d, lane) !== 0) return null;
  if (!await hasNoEigenvalueBelow({ blas, lane }, problem)) return null;

  mirrorLower(inverse, d);
  const m = { matrix, shift, d };
  const estimate = judgeInverse(blas, m, inverse);
  const residual = verifyFully ? exactInverseResidual(float64, m, inverse) : estimate.residual;
  if (!isInverseGood({ ...estimate, residual }, d)) return null;
  rescale(inverse, scale);
  return {
    result: inverse,
    report: { residual, condition: estimate.condition, damping, engine: "blas" },
  };
}
