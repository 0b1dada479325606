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

/** `spotrf`, `strtri`; null where a pivot failed or the result missed its bound. */
async function whitenInFloat32(host: Host, problem: ShiftedMatrix): Promise<Solved | null> {
  const { float64, verifyFully } = host;
  const blas = host.blas!;
  const { d, shift: damping } = problem;
  const { matrix, shift, work: whitener, scale } = prepare(problem.matrix, d, damping);
  if (await blas.whiten(whitener, d) !== 0) return null;
  if (!await hasNoEigenvalueBelow(blas, problem)) return null;

  for (let i = 0; i < d; i++) whitener.fill(0, i * d + i + 1, (i + 1) * d);
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
