/**
 * What computes on the host without TensorFlow.js: the second door of this layer, for Workers that need no tensors.
 *
 * @module
 */
export type { FailedPivot, Float64 } from "./float64.ts";
export type { Blas } from "./cpu/blas/blas.ts";
export { runsBeside } from "./cpu/blas/threads.ts";
export type { Lane } from "./cpu/blas/threads.ts";
export { float64Within } from "./cpu/blas/float64.ts";
export { type BlasOfHelper, openBlasAsHelper } from "./cpu/blas/open.ts";
export { BuiltInFloat32 } from "./cpu/built_in/float32.ts";
export { builtInFloat64 } from "./cpu/built_in/float64.ts";
export { isMirrored, mirrorLower } from "./cpu/mirror.ts";
export type { Float32Products } from "./cpu/products.ts";
export { sumOfSquares } from "./cpu/squares.ts";
export { turn } from "./cpu/turn.ts";
