/**
 * `L⁻¹` of `M + shift·I = L Lᵀ` on the host.
 *
 * @module
 */
import { isInverseGood } from "./bounds.ts";
import { exactWhitenerResidual } from "./exact_cpu.ts";
import { hasNoEigenvalueBelow } from "./float64_cpu.ts";
import { judgeWhitener } from "./probes_cpu.ts";
import { rescueWhitener } from "./rescue.ts";
import { prepare, rescale } from "./scaling_cpu.ts";
import type { Host, ShiftedMatrix, Solved } from "./solver_cpu.ts";

/** @throws CurvdError `not-positive-definite`, `overflow`. */
export async function whiten(host: Host, problem: ShiftedMatrix): Promise<Solved> {
  const solved = host.blas === null ? null : await whitenInFloat32(host, problem);
  return solved ?? await rescueWhitener(host.float64, problem);
}

/** Cholesky; null where a pivot failed or the result missed its bound. */
async function whitenInFloat32(
  { blas: library, float64, verifyFully, lane }: Host,
  problem: ShiftedMatrix,
): Promise<Solved | null> {
  const blas = library!;
  const { d, shift: damping } = problem;
  const whitener = new Float32Array(d * d);
  const { matrix, shift, scale } = prepare(problem, whitener);
  if (await blas.whiten(whitener, d, lane) !== 0) return null;
  if (!await hasNoEigenvalueBelow({ blas, lane }, problem)) return null;

  const m = { matrix, shift, d };
  const estimate = judgeWhitener(blas, m, whitener);
  const residual = verifyFully ? exactWhitenerResidual(float64, m, whitener) : estimate.residual;
  if (!isInverseGood({ ...estimate, residual }, d)) return null;
  rescale(whitener, Math.sqrt(scale));
  return {
    result: whitener,
    report: { residual, condition: estimate.condition, damping, engine: "blas" },
  };
}
