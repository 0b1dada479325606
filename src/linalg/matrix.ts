/**
 * Small matrix functions on stacks `[b, d, d]`, in TensorFlow.js operations alone.
 *
 * All are synchronous and tidy: they dispose what they make on the way and leave their result to the caller.
 *
 * @module
 */
import {
  abs,
  add,
  div,
  engine,
  expandDims,
  eye,
  getBackend,
  getKernel,
  greater,
  isFinite as isFiniteEach,
  logicalAnd,
  matMul,
  max,
  maximum,
  mul,
  type NamedTensorMap,
  onesLike,
  reshape,
  sqrt,
  square,
  stridedSlice,
  sum,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  tidy,
  transpose,
  where,
  zerosLike,
} from "@tensorflow/tfjs-core";
import type { Stack } from "./linear_algebra.ts";

/** Names under which each engine registers its products of half the work. */
export const GRAM_KERNEL = "CurvdGram";
export const SYMMETRIC_PRODUCT_KERNEL = "CurvdSymmetricProduct";

/**
 * `C = scale · XᵀX` of each matrix of a batch (the SYRK of BLAS).
 *
 * @param x `[b, n, d]`, one row an example.
 * @param scale weight of the sum; `1 / n` gives the mean.
 * @returns `[b, d, d]`, symmetric to the last bit, positive semidefinite up to rounding.
 */
export function gram(x: Tensor3D, scale: number): Stack {
  return engine().runKernel(GRAM_KERNEL, { x } as unknown as NamedTensorMap, { scale }) as Stack;
}

/**
 * `op(A) op(B)` of each pair of a batch, where that is symmetric in exact arithmetic: half of it is computed and mirrored.
 *
 * @param a `[b, d, k]`, or `[b, k, d]` where transposed.
 * @param b `[b, k, d]`, or `[b, d, k]` where transposed.
 * @returns `[b, d, d]`, symmetric to the last bit.
 */
export function symmetricProduct(
  a: Tensor3D,
  b: Tensor3D,
  transposeA = false,
  transposeB = false,
): Stack {
  return engine().runKernel(
    SYMMETRIC_PRODUCT_KERNEL,
    { a, b } as unknown as NamedTensorMap,
    { transposeA, transposeB },
  ) as Stack;
}

/** `Xᵀ diag(w) X` for weights of any sign: `x [b, n, d]`, `w [b, n]`; symmetric to the last bit. */
export function weightedGram(x: Tensor3D, w: Tensor2D): Stack {
  return tidy(() => symmetricProduct(x, mul(x, expandDims(w, 2)), true));
}

/** Name under which an engine may register {@linkcode sandwich}. */
export const SANDWICH_KERNEL = "CurvdSandwich";

export interface SandwichOptions {
  /** @default false */
  readonly transposeLeft?: boolean;
  /** @default false */
  readonly transposeRight?: boolean;
  /** V is divided by `max(D + shift, floor)` first: D `[b, r, c]`, or `u [b, r]` and `v [b, c]` of `D = u vᵀ`. */
  readonly divisor?: Tensor3D | { readonly u: Tensor2D; readonly v: Tensor2D };
  /** @default 0 */
  readonly shift?: number;
  /** @default none */
  readonly floor?: number;
}

/** `op(L) V op(R)`, or `op(L) (V / max(D + shift, floor)) op(R)`: `L [b, r, r]`, `V [b, r, c]`, `R [b, c, c]`. */
export function sandwich(
  left: Stack,
  V: Tensor3D,
  right: Stack,
  {
    transposeLeft = false,
    transposeRight = false,
    divisor,
    shift = 0,
    floor = -Infinity,
  }: SandwichOptions = {},
): Tensor3D {
  if (getKernel(SANDWICH_KERNEL, getBackend())) {
    const divisors = divisor && ("u" in divisor ? divisor : { divisor });
    return engine().runKernel(
      SANDWICH_KERNEL,
      { left, middle: V, right, ...divisors } as unknown as NamedTensorMap,
      { transposeLeft, transposeRight, shift, floor },
    ) as Tensor3D;
  }
  return tidy(() => {
    const inner = divisor ? div<Tensor3D>(V, bounded(divisor, shift, floor)) : V;
    return matMul(matMul(left, inner, transposeLeft), right, false, transposeRight);
  });
}

/** `max(D + shift, floor)`. */
function bounded(
  divisor: NonNullable<SandwichOptions["divisor"]>,
  shift: number,
  floor: number,
): Tensor3D {
  const D = "u" in divisor ? outer(divisor.u, divisor.v) : divisor;
  const shifted = shift === 0 ? D : add<Tensor3D>(D, shift);
  return floor === -Infinity ? shifted : maximum(shifted, floor);
}

/** `(M + Mᵀ)/2`. */
export function symmetrize(m: Stack): Stack {
  return tidy(() => mul(add(m, transpose(m, [0, 2, 1])), 0.5));
}

/** The diagonals, `[b, d]`. */
export function diagonal(m: Stack): Tensor2D {
  const [b, d] = m.shape;
  return tidy(() =>
    reshape(stridedSlice(reshape(m, [b, d * d]), [0, 0], [b, d * d], [1, d + 1]), [b, d])
  );
}

/** The traces, `[b]`. */
export function trace(m: Stack): Tensor1D {
  return tidy(() => sum(diagonal(m), 1));
}

/** The largest entry of each matrix by size, `[b]`. */
export function largestEntry(m: Tensor3D): Tensor1D {
  return tidy(() => max(abs(m), [1, 2]));
}

/** `1/x` of sizes, and 0 of what is zero or has no reciprocal in float32. */
export function reciprocal(x: Tensor1D): Tensor1D {
  const LEAST = 2 ** -126;
  return tidy(() => where(greater(x, LEAST), div<Tensor1D>(1, x), zerosLike(x)));
}

/** `‖M‖_F` of each matrix, `[b]`; squares neither overflow nor vanish. */
export function frobeniusNorm(m: Tensor3D): Tensor1D {
  return tidy(() => {
    const largest = largestEntry(m);
    const scaled = scaleEach(m, reciprocal(largest));
    return mul(sqrt(sum<Tensor1D>(square(scaled), [1, 2])), largest);
  });
}

/** `⟨X, Y⟩ = Σ X_ij Y_ij` of each pair, `[b]`. */
export function innerProduct(x: Tensor3D, y: Tensor3D): Tensor1D {
  return tidy(() => sum(mul(x, y), [1, 2]));
}

/** Each matrix times its number: `m [b, r, c]`, `factor [b]`. */
export function scaleEach<T extends Tensor3D>(m: T, factor: Tensor1D): T {
  return tidy(() => mul(m, reshape(factor, [-1, 1, 1])));
}

/** `M + shift·I`, one shift a matrix `[b]` or one for all. */
export function addDiagonal(m: Stack, shift: Tensor1D | number): Stack {
  return tidy(() => {
    const identity = expandDims<Tensor3D>(eye(m.shape[1]), 0);
    return add(m, mul(identity, typeof shift === "number" ? shift : reshape(shift, [-1, 1, 1])));
  });
}

/** `Mᵀ` of each matrix, `[b, c, r]`. */
export function transposeEach(m: Tensor3D): Tensor3D {
  return transpose(m, [0, 2, 1]);
}

/** Name under which an engine may register {@linkcode rootRatio}. */
export const ROOT_RATIO_KERNEL = "CurvdRootRatio";

/** `√a/√b` of each pair `[b]`, 1 where that is zero or not finite. The roots come first: a/b may overflow. */
export function rootRatio(a: Tensor1D, b: Tensor1D): Tensor1D {
  if (a.size === b.size && getKernel(ROOT_RATIO_KERNEL, getBackend())) {
    return engine().runKernel(
      ROOT_RATIO_KERNEL,
      { a, b } as unknown as NamedTensorMap,
    ) as Tensor1D;
  }
  return tidy(() => {
    const ratio = div<Tensor1D>(sqrt(a), sqrt(b));
    const usable = logicalAnd(isFiniteEach(ratio), greater(ratio, 0));
    return where(usable, ratio, onesLike(ratio));
  });
}

/** Outer products `u vᵀ`: `u [b, r]`, `v [b, c]` → `[b, r, c]`. */
export function outer(u: Tensor2D, v: Tensor2D): Tensor3D {
  return tidy(() => matMul(expandDims<Tensor3D>(u, 2), expandDims<Tensor3D>(v, 1)));
}
