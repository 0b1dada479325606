/**
 * The leading singular pair of the rearranged Fisher block, without forming either.
 *
 *   W = R(F) V,  U = W/‖W‖,  Z = R(F)ᵀ U,  σ = ‖Z‖,  V ← Z/σ   until ‖R(F) V − σU‖ ≤ tolerance·σ
 *
 * `R(F) vec(M) = vec(w Σ P M Pᵀ)` maps positive semidefinite matrices to such, so from a positive start every iterate is one
 * and the leading pair is a pair of curvature factors. The error falls by (σ₂/σ₁)² a round.
 *
 * Source: Van Loan & Pitsianis 1993; Koroko et al. 2022, arXiv:2201.10285, section 3.1.
 *
 * @module
 */
import {
  add,
  dispose,
  div,
  expandDims,
  eye,
  greater,
  max,
  mul,
  neg,
  onesLike,
  type Scalar,
  sqrt,
  sub,
  type Tensor1D,
  tensor3d,
  tidy,
  tile,
  where,
} from "@tensorflow/tfjs-core";
import {
  frobeniusNorm,
  innerProduct,
  type LinearAlgebra,
  reciprocal,
  scaleEach,
  type Stack,
  symmetrize,
  trace,
} from "@/linalg/mod.ts";
import type { Samples } from "../samples.ts";
import type { KroneckerTerm, LeadingTerm, StoppingRule } from "./term.ts";

/** A linear map between symmetric matrices, `[b, d_in, d_in]` to `[b, d_out, d_out]`, and its adjoint. */
export interface Rearranged {
  readonly dIn: number;
  readonly dOut: number;
  readonly groups: number;
  forward(M: Stack): Stack;
  adjoint(U: Stack): Stack;
}

/** Rounds without progress, once near, after which float32 has nothing more to give. */
const PATIENCE = 4;
/** "Near": a residual below this, relative to σ. */
const NEAR = 1e-4;

/** R(F) of a batch. */
export function rearranged(samples: Samples): Rearranged {
  const { dIn, dOut, groups } = samples;
  return {
    dIn,
    dOut,
    groups,
    forward: (M) => samples.forward(M),
    adjoint: (U) => samples.adjoint(U),
  };
}

/** `R − vec(G) vec(A)ᵀ`: what one term leaves. */
export function deflated(R: Rearranged, { A, G }: { A: Stack; G: Stack }): Rearranged {
  const without = (image: Stack, weight: Tensor1D, term: Stack): Stack =>
    sub(image, scaleEach(term, weight));
  return {
    ...R,
    forward: (M) => tidy(() => without(R.forward(M), innerProduct(A, M), G)),
    adjoint: (U) => tidy(() => without(R.adjoint(U), innerProduct(G, U), A)),
  };
}

/** `ρ Σ_r vec(G_r) vec(A_r)ᵀ + (1 − ρ) R`: terms that stand for the past, and a batch. */
export function mixed(
  terms: readonly { A: Stack; G: Stack }[],
  R: Rearranged,
  rho: number,
): Rearranged {
  const plus = (image: Stack, M: Stack, from: "A" | "G", to: "A" | "G"): Stack =>
    terms.reduce<Stack>(
      (sum, term) => add(sum, scaleEach(term[to], mul(innerProduct(term[from], M), rho))),
      mul(image, 1 - rho),
    );
  return {
    ...R,
    forward: (M) => tidy(() => plus(R.forward(M), M, "A", "G")),
    adjoint: (U) => tidy(() => plus(R.adjoint(U), U, "G", "A")),
  };
}

/** `I/‖I‖ [b, d, d]`: a positive definite start, whose first half-step is TKFAC's partial trace. */
export function identityStart({ dIn, groups }: Pick<Rearranged, "dIn" | "groups">): Stack {
  return tidy(() => div(tile(expandDims<Stack>(eye(dIn), 0), [groups, 1, 1]), Math.sqrt(dIn)));
}

/** A symmetric start of both signs, the same for the same sizes; after deflation the identity may be nearly orthogonal. */
export function mixedStart({ dIn: d, groups }: Pick<Rearranged, "dIn" | "groups">): Stack {
  const values = new Float32Array(groups * d * d);
  let state = 0x9e3779b9;
  for (let i = 0; i < values.length; i++) {
    state = Math.imul(state ^ (state >>> 16), 0x45d9f3b) + 0x6d2b79f5 | 0;
    values[i] = state / 2 ** 31;
  }
  return tidy(() => normalized(symmetrize(tensor3d(values, [groups, d, d]))).unit);
}

/**
 * Iterates to the leading pair.
 *
 * @param start `[b, d_in, d_in]`, symmetric, of unit norm; taken over.
 */
export async function powerSvd(
  R: Rearranged,
  start: Stack,
  rule: StoppingRule,
  linalg: LinearAlgebra,
): Promise<LeadingTerm> {
  let V = start;
  const isOver = stoppingBy(rule);
  for (let iterations = 1;; iterations++) {
    const round = tidy(() => {
      const { unit: U } = normalized(R.forward(V));
      const { unit: next, norm: sigma } = normalized(R.adjoint(U));
      // ‖R Vnext − σU‖ would cost half a round more; ‖Vnext − V‖ is the same to first order
      const change = frobeniusNorm(sub(next, V));
      return { U, V: next, sigma, change: max(change) as Scalar };
    });
    dispose(V);
    V = round.V;
    const [change] = await linalg.numbers([round.change]);
    dispose(round.change);
    if (isOver(change, iterations)) {
      const term = scaledTerm(round.U, V, round.sigma);
      dispose([round.U, V]);
      return { term, iterations };
    }
    dispose([round.U, round.sigma]);
  }
}

/** Whether to stop after a round that changed the iterate by so much: near enough, no nearer for some rounds, or the last. */
export function stoppingBy(
  { tolerance, maxIterations }: StoppingRule,
): (change: number, iterations: number) => boolean {
  let best = Infinity, stalled = 0;
  return (change, iterations) => {
    stalled = change < best || change > NEAR ? 0 : stalled + 1;
    best = Math.min(best, change);
    return change <= tolerance || stalled >= PATIENCE || iterations >= maxIterations;
  };
}

/** `(√σ U, √σ V, σ)` with `tr G ≥ 0`; takes over σ alone. */
export function scaledTerm(U: Stack, V: Stack, sigma: Tensor1D): KroneckerTerm {
  const [A, G] = tidy(() => {
    const t = trace(U);
    const direction = where(greater(0, t), neg(onesLike(t)), onesLike(t));
    const signed = mul<Tensor1D>(sqrt(sigma), direction);
    return [scaleEach(V, signed), scaleEach(U, signed)];
  });
  return { A, G, sigma };
}

/** `M/‖M‖` and `‖M‖ [b]`; a zero matrix stays zero. */
export function normalized(M: Stack): { unit: Stack; norm: Tensor1D } {
  const norm = frobeniusNorm(M);
  return { unit: scaleEach(M, reciprocal(norm)), norm };
}
