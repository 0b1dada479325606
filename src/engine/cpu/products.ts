/**
 * The float32 products that TensorFlow.js kernels are built on, by whichever library there is.
 *
 * @module
 */

/** `op(A) [m, k]`, `op(B) [k, n]`, row-major. */
export interface ProductSize {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

export interface GramSize {
  /** Rows of X: examples. */
  readonly n: number;
  /** Columns of X: the side of the result. */
  readonly d: number;
  readonly scale: number;
}

/** `op(A) [d, k]`, `op(B) [k, d]`, row-major. */
export interface SymmetricSize {
  readonly d: number;
  readonly k: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

export interface Float32Products {
  /** `C = op(A) op(B)` into `c [m, n]`. */
  matMul(c: Float32Array, a: Float32Array, b: Float32Array, size: ProductSize): void;

  /** `C = scale · XᵀX` of `x [n, d]` into `c [d, d]`, symmetric to the bit. */
  gram(c: Float32Array, x: Float32Array, size: GramSize): void;

  /** `C = op(A) op(B)` into `c [d, d]` where it is symmetric in exact arithmetic: symmetric to the bit. */
  symmetric(c: Float32Array, a: Float32Array, b: Float32Array, size: SymmetricSize): void;
}
