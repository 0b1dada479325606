/**
 * `M = Q diag(w) Qᵀ` on the host.
 *
 * A warm start is of no use here: LAPACK's tridiagonalization does not see how nearly diagonal its matrix is. Measured at 256
 * after a step of decay 0.95: 9.3 ms cold, 10.4 ms for the matrix rotated into the old basis, and 1.3 ms for the rotation.
 *
 * @module
 */
import { BuiltInFloat32, sumOfSquares } from "@/engine/host.ts";
import { isEighGood } from "./bounds.ts";
import { exactEigh } from "./exact_cpu.ts";
import type { Report } from "./linear_algebra.ts";
import { judgeEigh, type Products } from "./probes_cpu.ts";
import { eighCondition, rescueEigh } from "./rescue.ts";
import type { Host, HostMatrix } from "./solver_cpu.ts";
import { rescale, scaleOf } from "./scaling_cpu.ts";
import { transposeSquare, turned } from "./transpose_cpu.ts";

export interface SolvedEigh {
  /** `Q [d, d]`, eigenvectors in columns. */
  readonly vectors: Float32Array<ArrayBuffer>;
  /** `[d]`, ascending. */
  readonly values: Float32Array<ArrayBuffer>;
  readonly report: Report;
}

/** @throws CurvdError `not-converged`, or `not-positive-definite` below −τ. */
export async function decompose(host: Host, problem: HostMatrix): Promise<SolvedEigh> {
  const solved = await decomposeInFloat32(host, problem);
  return solved ?? await rescueEigh(host.float64, problem);
}

/** Divide and conquer; null where it did not converge, missed its bound, or found an eigenvalue below −τ. */
async function decomposeInFloat32(host: Host, problem: HostMatrix): Promise<SolvedEigh | null> {
  const { blas, builtIn, lane } = host;
  const { matrix, d } = problem;
  const norm = Math.sqrt(sumOfSquares(matrix));
  if (!Number.isFinite(norm)) return null; // LAPACK may not return from a NaN
  if (blas) {
    return await blas.scratch.lend(d * d, async (rows) => {
      const scale = scaleOf(norm);
      rows.set(matrix);
      rescale(rows, scale);
      const values = await blas.eigh(rows, d, lane);
      if (values === null) return null;
      rescale(values, 1 / scale);
      const vectors = () => transposeSquare(blas, rows, d);
      return judged(host, problem, { norm, rows, values, vectors, products: blas, engine: "blas" });
    });
  }
  if (builtIn === null || d < BuiltInFloat32.smallest) return null;
  const { values, rows } = builtIn.eigh(matrix, d);
  return judged(host, problem, {
    norm,
    rows,
    values,
    vectors: () => turned(rows, d),
    products: { gemm: builtIn.products.matMul },
    engine: "built-in",
  });
}

interface Decomposed {
  /** `‖M‖_F`. */
  readonly norm: number;
  /** `Qᵀ [d, d]`. */
  readonly rows: Float32Array<ArrayBuffer>;
  /** `[d]`, ascending. */
  readonly values: Float32Array<ArrayBuffer>;
  /** Makes `Q` of the rows. */
  vectors(): Float32Array<ArrayBuffer>;
  readonly products: Products;
  readonly engine: Report["engine"];
}

function judged(
  { float64, verifyFully }: Host,
  { matrix, d, negativeTolerance }: HostMatrix,
  { norm, rows, values, vectors: vectorsOf, products, engine }: Decomposed,
): SolvedEigh | null {
  if (negativeTolerance !== undefined && !(values[0] >= -negativeTolerance)) return null;
  const vectors = vectorsOf();
  const errors = verifyFully
    ? exactEigh(float64, { matrix, norm, d, vectors, values })
    : judgeEigh(products, { matrix, norm, d, rows, values });
  if (!isEighGood(errors, d)) return null;
  const negative = values.findIndex((value) => value >= 0);
  return {
    vectors,
    values,
    report: {
      ...errors,
      condition: eighCondition(values),
      negative: negative < 0 ? d : negative,
      engine,
    },
  };
}
