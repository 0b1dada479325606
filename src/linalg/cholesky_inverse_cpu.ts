/**
 * `(M + shift·I)⁻¹` on the host: float32 LAPACK, judged; float64 where there is no LAPACK or its result misses its bound.
 *
 * @module
 */
import { mirrorUpper } from "@/engine/mod.ts";
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

/** `spotrf`, `spotri`, a mirror; null where a pivot failed or the result missed its bound. */
async function invertInFloat32(host: Host, problem: ShiftedMatrix): Promise<Solved | null> {
  const { float64, verifyFully } = host;
  const blas = host.blas!;
  const { d, shift: damping } = problem;
  const { matrix, shift, work: inverse, scale } = prepare(problem.matrix, d, damping);
  if (await blas.choleskyInverse(inverse, d, "upper") !== 0) return null;
  if (!await hasNoEigenvalueBelow(blas, problem)) return null;

  mirrorUpper(inverse, d);
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
