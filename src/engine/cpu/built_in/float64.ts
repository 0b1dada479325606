/**
 * {@linkcode Float64} in TypeScript alone, for machines without a BLAS.
 *
 * Single-threaded, and it keeps its thread: promises here are already fulfilled.
 *
 * @module
 */
import type { Float64 } from "../../float64.ts";
import { cholesky, choleskyInverse } from "./cholesky.ts";
import { eigh } from "./eigh.ts";
import { matMul } from "./mat_mul.ts";

export const builtInFloat64: Float64 = {
  library: "built-in",
  matMul: (a, b, size) => matMul(a, b, size),
  cholesky: (a, d) => Promise.resolve(cholesky(a, d)),
  choleskyInverse: (a, d) => Promise.resolve(choleskyInverse(a, d)),
  eigh: async (a, d) => await eigh(a, d),
};
