/**
 * The operations where there is no LAPACK in float32: float64 from the start, judged like the rest.
 *
 * @module
 */
import type { Blas, Lane } from "@/engine/host.ts";
import { exactInverseResidual } from "./exact_cpu.ts";
import { apply, inverseResidual, plusIdentity, spectralNorm } from "./probes.ts";
import { prepare } from "./scaling_cpu.ts";
import type { Host, ShiftedMatrix, Solved } from "./solver_cpu.ts";

/**
 * Whether no eigenvalue is below −τ, by factoring `M + τI`; true where nothing was asked or the shift would not hide one.
 * A false is no verdict: float64 gives that.
 */
export async function hasNoEigenvalueBelow(
  { blas, lane }: { blas: Blas; lane: Lane },
  { matrix, d, shift, negativeTolerance }: ShiftedMatrix,
): Promise<boolean> {
  if (negativeTolerance === undefined || shift <= negativeTolerance) return true;
  return await blas.scratch.lend(d * d, async (work) => {
    prepare({ matrix, d, shift: negativeTolerance }, work);
    return await blas.cholesky(work, d, lane) === 0;
  });
}

/** The plain case, a positive definite matrix with damping; null leaves everything else to the rescue. */
export async function invertInFloat64(
  { float64, verifyFully }: Host,
  problem: ShiftedMatrix,
): Promise<Solved | null> {
  const { matrix, d, shift, negativeTolerance } = problem;
  if (!(shift > 0)) return null; // whether it is singular is for the rescue to say
  const shifted = plusIdentity(matrix, shift, d);
  const inverse = await float64.choleskyInverse(shifted, d);
  if (!(inverse instanceof Float64Array)) return null;
  if (negativeTolerance !== undefined && shift > negativeTolerance) {
    const factor = await float64.cholesky(plusIdentity(matrix, negativeTolerance, d), d);
    if (!(factor instanceof Float64Array)) return null;
  }
  const result = Float32Array.from(inverse);
  if (!result.every(Number.isFinite)) return null;
  const residual = verifyFully
    ? exactInverseResidual(float64, { matrix: shifted, shift: 0, d }, result)
    : inverseResidual(shifted, result, d);
  const condition = spectralNorm((x) => apply(shifted, x, d), d) *
    spectralNorm((x) => apply(inverse, x, d), d);
  return { result, report: { residual, condition, damping: shift, engine: "float64" } };
}
