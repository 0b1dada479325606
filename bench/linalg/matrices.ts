/**
 * The matrices of the benches: factors of layers, the same in every run.
 *
 * @module
 */
import { type Tensor3D, tensor3d, tidy } from "@tensorflow/tfjs-core";
import { gram, type Stack } from "@/linalg/mod.ts";

/** What is added to a factor before it is inverted. */
export const DAMPING = 1e-3;

/** A uniform variable of unit variance spans twice this. */
const HALF_WIDTH = Math.sqrt(3);

/**
 * `X [1, rows, n]`, uniform of mean 0 and variance 1: the spectrum of its Gram matrix is that of a
 * normal one, and a hundred million are drawn in less than a second.
 */
export function examples(rows: number, n: number, seed: number): Tensor3D {
  let state = Math.imul(seed, 0x9e3779b1) | 1;
  const values = new Float32Array(rows * n);
  for (let at = 0; at < values.length; at++) { // xorshift, Marsaglia 2003
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[at] = state / 2 ** 31 * HALF_WIDTH;
  }
  return tensor3d(values, [1, rows, n]);
}

/** `XᵀX/2n`, `[1, n, n]`. */
export function factor(n: number, seed: number): Stack {
  return tidy(() => gram(examples(2 * n, n, seed), 1 / (2 * n)));
}
