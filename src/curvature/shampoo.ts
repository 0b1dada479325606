/**
 * Shampoo: a gradient's own second moments on either side, from gradients alone.
 *
 *   L ← β L + (1 − β) D Dᵀ,   R ← β R + (1 − β) Dᵀ D   (β = 1: plain sums)
 *   U = (L + εI)^(−1/p) D (R + εI)^(−1/p),   p = 4 for a matrix
 *
 * A convolution's kernel is taken as the matrix `[c_out, c·kh·kw]`.
 *
 * Source: Gupta, Koren & Singer 2018, arXiv:1802.09568, Algorithm 1; the average as in Anil et al. 2020, arXiv:2002.09018.
 *
 * @module
 */
import { add, dispose, matMul, type Tensor3D, tidy, zeros } from "@tensorflow/tfjs-core";
import { gram, type Report, type Stack, transposeEach } from "@/linalg/mod.ts";
import type { Context } from "./method.ts";
import { average } from "./running_average.ts";

export interface ShampooState {
  /** `[b, d_out, d_out]`. */
  readonly L: Stack;
  /** `[b, d_in, d_in]`. */
  readonly R: Stack;
}

export interface ShampooRoots {
  readonly L_root: Stack;
  readonly R_root: Stack;
}

/** Takes a gradient into L and R, which start at 0; the caller disposes them. */
export function observeGradient(
  old: ShampooState | null,
  D: Tensor3D,
  beta: number,
): ShampooState {
  return tidy(() => {
    const batch = secondMoments(D);
    const take = (before: Stack | undefined, next: Stack): Stack => {
      const from = before ?? zeros<typeof next.rankType>(next.shape) as Stack;
      return beta === 1 ? add(from, next) : average(from, next, beta);
    };
    return { L: take(old?.L, batch.L), R: take(old?.R, batch.R) };
  });
}

/** `D Dᵀ` and `Dᵀ D`; the caller disposes both. */
export function secondMoments(D: Tensor3D): ShampooState {
  return tidy(() => ({ L: gram(transposeEach(D), 1), R: gram(D, 1) }));
}

/** The inverse roots `(X + εI)^(−1/p)`; the caller disposes them. */
export async function shampooRoots(
  { L, R }: ShampooState,
  { name, linalg, options }: Context,
  root: number,
): Promise<{ roots: ShampooRoots; reports: Record<string, Report[]> }> {
  const [epsilon] = options.dampings;
  const [left, right] = await linalg.inverseRoot([
    { name: `${name}.L`, matrix: L, shift: epsilon, root },
    { name: `${name}.R`, matrix: R, shift: epsilon, root },
  ]);
  return {
    roots: { L_root: left.root, R_root: right.root },
    reports: { L: left.reports, R: right.reports },
  };
}

/** `U = L_root D R_root`; the caller disposes it. */
export function shampooUpdate({ L_root, R_root }: ShampooRoots, D: Tensor3D): Tensor3D {
  const half = matMul(L_root, D);
  const U = matMul(half, R_root) as Tensor3D;
  dispose(half);
  return U;
}
