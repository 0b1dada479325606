/**
 * Simultaneous diagonalization of a positive definite and a symmetric matrix.
 *
 *   Kᵀ (A + shift·I) K = I,   Kᵀ C K = diag(s)
 *
 * By Cholesky, `A + shift·I = L Lᵀ`, then `L⁻¹ C L⁻ᵀ = E diag(s) Eᵀ` and `K = L⁻ᵀ E`: fewer flops and better float32
 * accuracy than with `A^(−1/2)`. The condition of A enters s as cond·ε.
 *
 * @module
 */
import { concat, dispose, matMul, slice, type Tensor2D, tidy } from "@tensorflow/tfjs-core";
import type { LinearAlgebra, Report, ShiftedProblem, Stack } from "./linear_algebra.ts";
import { symmetricProduct } from "./matrix.ts";

export interface PencilProblem extends ShiftedProblem {
  /** C, symmetric, of any signs. */
  readonly other: Stack;
}

export interface PencilResult {
  /** `K [b, d, d]`; the caller disposes it. */
  readonly K: Stack;
  /** `s [b, d]`, ascending; the caller disposes it. */
  readonly s: Tensor2D;
  /** Of the factorization of A, one a matrix. */
  readonly reports: Report[];
}

/** Diagonalizes each pair. @throws CurvdError `not-positive-definite` where `A + shift·I` is not. */
export async function simultaneousDiagonalization(
  linalg: LinearAlgebra,
  problems: readonly PencilProblem[],
): Promise<PencilResult[]> {
  const whitened = await linalg.whiten(problems);
  const inner = whitened.map(({ whitener }, i) =>
    tidy(() => symmetricProduct(lowerTimes(whitener, problems[i].other), whitener, false, true))
  );
  const bases = await linalg.eigh(
    inner.map((matrix, i) => ({ name: `${problems[i].name} whitened`, matrix })),
  );
  dispose(inner);
  return bases.map(({ vectors, values }, i) => {
    const { whitener, reports } = whitened[i];
    const K = matMul(whitener, vectors, true) as Stack; // L⁻ᵀ E
    dispose([whitener, vectors]);
    return { K, s: values, reports };
  });
}

/** Sides from which leaving zeros out is worth the copies. */
const LEAST_BLOCKED = 2048;

/** `L C` of lower triangular matrices, in four blocks of rows without most of the zeros: 5/8 of the work. */
function lowerTimes(L: Stack, C: Stack): Stack {
  const [b, d] = L.shape;
  if (d < LEAST_BLOCKED) return matMul(L, C);
  return tidy(() => {
    const edges = [0, 1, 2, 3, 4].map((quarter) => Math.round(quarter * d / 4));
    const blocks = edges.slice(1).map((end, at) => {
      const rows = slice(L, [0, edges[at], 0], [b, end - edges[at], end]);
      return matMul(rows, slice(C, [0, 0, 0], [b, end, d])) as Stack;
    });
    return concat(blocks, 1);
  });
}
