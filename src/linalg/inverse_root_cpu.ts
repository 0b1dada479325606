/**
 * `(M + shift·I)^(−1/p) = Q (Λ + shift·I)^(−1/p) Qᵀ` on the host.
 *
 * @module
 */
import { mirrorLower } from "@/engine/host.ts";
import { isRootGood } from "./bounds.ts";
import { exactInverseResidual } from "./exact_cpu.ts";
import { judgeInverse } from "./probes_cpu.ts";
import { rescueRoot } from "./rescue.ts";
import type { Host, ShiftedMatrix, Solved } from "./solver_cpu.ts";

/**
 * Condition number beyond which a root is computed in float64 from the start.
 *
 * Eigenvalues have an error of about ε‖M‖ whatever their size, so the root of the smallest is off by κε/p: at 1e3 and p = 4 that
 * is 1.5e-5. Measured at d = 48: 1.2e-6 at κ = 1e2, 3.8e-5 at 1e4, 2.5e-3 at 1e6.
 */
const FLOAT32_CONDITION = 1e3;

export interface RootMatrix extends ShiftedMatrix {
  readonly root: number;
}

/** @throws CurvdError `not-positive-definite`, `overflow`. */
export async function invertRoot(host: Host, problem: RootMatrix): Promise<Solved> {
  const solved = host.blas === null ? null : await rootInFloat32(host, problem);
  return solved ?? await rescueRoot(host.float64, problem);
}

async function rootInFloat32(
  { blas: library, float64, verifyFully, lane }: Host,
  { matrix, d, shift, root, negativeTolerance }: RootMatrix,
): Promise<Solved | null> {
  const blas = library!;
  if (!isWithinRange(matrix, d, shift)) return null;
  const rows = matrix.slice();
  const values = await blas.eigh(rows, d, lane);
  if (values === null) return null;
  if (negativeTolerance !== undefined && !(values[0] >= -negativeTolerance)) return null;
  const condition = (values[d - 1] + shift) / (values[0] + shift);
  if (!(values[0] + shift > 0 && condition <= FLOAT32_CONDITION)) return null;

  for (let i = 0; i < d; i++) { // so that rowsᵀ·rows is the root
    const factor = (Math.max(values[i], 0) + shift) ** (-0.5 / root);
    for (let at = i * d; at < (i + 1) * d; at++) rows[at] *= factor;
  }
  const result = new Float32Array(d * d);
  blas.syrk(result, rows, { n: d, d, scale: 1 });
  mirrorLower(result, d);

  if (!Number.isInteger(root)) return null;
  const m = { matrix, shift, d };
  const residual = verifyFully
    ? exactInverseResidual(float64, m, result, root)
    : judgeInverse(blas, m, result, root).residual;
  if (!isRootGood({ residual, condition }, d, root)) return null;
  const clipped = values.findIndex((value) => value >= 0);
  return {
    result,
    report: {
      residual,
      condition,
      damping: shift,
      engine: "blas",
      ...(clipped > 0 ? { clipped } : {}),
    },
  };
}

/** Whether the root's powers can be multiplied out in float32; NaN is not. */
function isWithinRange(matrix: Float32Array, d: number, shift: number): boolean {
  let largest = 0;
  for (const value of matrix) {
    if (Number.isNaN(value)) return false;
    largest = Math.max(largest, Math.abs(value));
  }
  return (largest + shift) * d < 2 ** 60 && largest + shift > 2 ** -60;
}
