/**
 * Dense float64 on the host: LAPACK where a library was found, else the built-in.
 *
 * It redoes what float32 could not (the rescue) and computes what must not cancel. All matrices are
 * row-major; symmetric input is read whole and must be symmetric.
 *
 * @module
 */

/** A Cholesky factorization that stopped. */
export interface FailedPivot {
  /** Row of the pivot, from 0. */
  readonly index: number;
  /** Its value, ≤ 0 or NaN. */
  readonly value: number;
}

export interface Float64 {
  /** `"openblas"`, `"accelerate"` or `"built-in"`. */
  readonly library: string;

  /** `C = op(A) op(B)`, `op(A)` `[m, k]`, `op(B)` `[k, n]`. */
  matMul(
    a: Float64Array,
    b: Float64Array,
    size: {
      m: number;
      k: number;
      n: number;
      transposeA?: boolean;
      transposeB?: boolean;
    },
  ): Float64Array<ArrayBuffer>;

  /** Lower `L` with `A = L Lᵀ` (zeros above the diagonal), or the pivot that failed. */
  cholesky(
    a: Float64Array,
    d: number,
  ): Promise<Float64Array<ArrayBuffer> | FailedPivot>;

  /** `A⁻¹` of a symmetric positive definite `A`, symmetric to the bit, or the pivot that failed. */
  choleskyInverse(
    a: Float64Array,
    d: number,
  ): Promise<Float64Array<ArrayBuffer> | FailedPivot>;

  /** `A = Q diag(w) Qᵀ`: `values` ascending, eigenvectors in the columns of `vectors [d, d]`. */
  eigh(
    a: Float64Array,
    d: number,
  ): Promise<
    { values: Float64Array<ArrayBuffer>; vectors: Float64Array<ArrayBuffer> }
  >;
}
