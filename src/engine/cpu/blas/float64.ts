/**
 * {@linkcode Float64} by LAPACK in double precision.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import type { FailedPivot, Float64 } from "../../float64.ts";
import { transposed } from "../built_in/mat_mul.ts";
import { mirrorLower } from "../mirror.ts";
import type { Blas } from "./blas.ts";

/** For callers that know nothing of threads: each call is work of its own. */
export function blasFloat64(blas: Blas): Float64 {
  const within = float64Within(blas);
  return {
    library: within.library,
    matMul: within.matMul,
    cholesky: (a, d) => blas.during(d, () => within.cholesky(a, d)),
    choleskyInverse: (a, d) => blas.during(d, () => within.choleskyInverse(a, d)),
    eigh: (a, d) => blas.during(d, () => within.eigh(a, d)),
  };
}

/** For use in work that {@linkcode Blas.during} runs. */
export function float64Within(blas: Blas): Float64 {
  return {
    library: blas.library,

    matMul(a, b, size) {
      const c = new Float64Array(size.m * size.n);
      blas.gemm(c, a, b, size);
      return c;
    },

    async cholesky(a, d) {
      const l = Float64Array.from(a);
      const failed = await blas.cholesky(l, d);
      if (failed !== 0) return failedPivot(a, l, d, failed - 1);
      const stopped = notFinite(l, d);
      if (stopped) return stopped;
      for (let i = 0; i < d; i++) l.fill(0, i * d + i + 1, (i + 1) * d);
      return l;
    },

    async choleskyInverse(a, d) {
      const x = Float64Array.from(a);
      const failed = await blas.choleskyInverse(x, d);
      if (failed !== 0) return failedPivot(a, x, d, failed - 1);
      const stopped = notFinite(x, d);
      if (stopped) return stopped;
      mirrorLower(x, d);
      return x;
    },

    async eigh(a, d) {
      const rows = Float64Array.from(a);
      const values = await blas.eigh(rows, d);
      if (values === null) {
        throw new CurvdError(
          "not-converged",
          `Cannot diagonalize a matrix of size ${d}: LAPACK's dsyevd did not converge`,
          { size: d },
        );
      }
      return { values, vectors: transposed(rows, d, d) };
    },
  };
}

/** LAPACK takes NaN for a good pivot: the first one on the diagonal counts as failed too. */
function notFinite(l: Float64Array, d: number): FailedPivot | null {
  for (let i = 0; i < d; i++) {
    if (!Number.isFinite(l[i * (d + 1)])) return { index: i, value: NaN };
  }
  return null;
}

/**
 * The pivot at which a factorization stopped, `A_ii − Σ_k L_ik²`.
 *
 * LAPACK does not say its value. The rows above are factored, so row i of L is solved for again.
 *
 * @param l what LAPACK left: its leading i rows are those of L.
 */
function failedPivot(a: Float64Array, l: Float64Array, d: number, index: number): FailedPivot {
  const row = a.slice(index * d, index * d + index);
  let value = a[index * (d + 1)];
  for (let k = 0; k < index; k++) {
    let sum = row[k];
    for (let t = 0; t < k; t++) sum -= row[t] * l[k * d + t];
    row[k] = sum / l[k * (d + 1)];
    value -= row[k] ** 2;
  }
  return { index, value };
}
