/**
 * The matrices of the benches: factors of layers, the same in every run.
 *
 * @module
 */
import { randomNormal, type Tensor3D, tidy } from "@tensorflow/tfjs-core";
import { gram, type Stack } from "@/linalg/mod.ts";

/** What is added to a factor before it is inverted. */
export const DAMPING = 1e-3;

/** `X [1, rows, n]`, standard normal. */
export function examples(rows: number, n: number, seed: number): Tensor3D {
  return randomNormal([1, rows, n], 0, 1, "float32", seed);
}

/** `XᵀX/2n`, `[1, n, n]`. */
export function factor(n: number, seed: number): Stack {
  return tidy(() => gram(examples(2 * n, n, seed), 1 / (2 * n)));
}
