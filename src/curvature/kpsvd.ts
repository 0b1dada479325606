/**
 * The four KPSVD methods: Kronecker products nearest to F itself, instead of to an assumption about it.
 *
 *   kpsvd           F ≈ G₁ ⊗ A₁             the leading singular pair of R(F), by power iteration
 *   deflation       F ≈ G₁ ⊗ A₁ + G₂ ⊗ A₂   the second pair by power iteration on what the first leaves
 *   lanczos         the same two pairs, by Golub–Kahan bidiagonalization
 *   kfac_corrected  F ≈ G ⊗ A + G₂ ⊗ A₂     K-FAC, and the leading pair of what it leaves
 *
 * Source: Koroko et al. 2022, arXiv:2201.10285, sections 3 and 4.
 *
 * @module
 */
import { dispose, mul, type Tensor1D, tidy } from "@tensorflow/tfjs-core";
import { frobeniusNorm, type LinearAlgebra } from "@/linalg/mod.ts";
import { kroneckerFactors } from "./kfac.ts";
import { kroneckerPreconditioner } from "./kronecker_factors.ts";
import { lanczosSvd } from "./lanczos.ts";
import type { Context, LayerMethod, Preconditioner } from "./method.ts";
import {
  deflated,
  identityStart,
  type KroneckerTerm,
  mixedStart,
  powerSvd,
  rearranged,
  type StoppingRule,
} from "./power_svd.ts";
import type { Samples } from "./samples.ts";
import { twoTermPreconditioner } from "./two_terms.ts";

/** `F ≈ Σ_r G_r ⊗ A_r`, the leading term first. */
export interface KroneckerTerms {
  readonly terms: readonly KroneckerTerm[];
  /** Rounds taken, over all terms. */
  readonly iterations: number;
}

/** Finds the terms of a batch. */
export type TermFinder = (
  samples: Samples,
  rule: StoppingRule,
  linalg: LinearAlgebra,
) => Promise<KroneckerTerms>;

export const findLeadingTerm: TermFinder = async (samples, rule, linalg) => {
  const R = rearranged(samples);
  const { term, iterations } = await powerSvd(R, identityStart(R), rule, linalg);
  return { terms: [term], iterations };
};

export const findTermsByDeflation: TermFinder = async (samples, rule, linalg) => {
  const R = rearranged(samples);
  const first = await powerSvd(R, identityStart(R), rule, linalg);
  const second = await powerSvd(deflated(R, first.term), mixedStart(R), rule, linalg);
  return {
    terms: [first.term, second.term],
    iterations: first.iterations + second.iterations,
  };
};

export const findTermsByLanczos: TermFinder = (samples, rule, linalg) =>
  lanczosSvd(rearranged(samples), rule, linalg);

export const findCorrectedTerms: TermFinder = async (samples, rule, linalg) => {
  const { A, G } = kroneckerFactors(samples);
  const R = rearranged(samples);
  const { term, iterations } = await powerSvd(deflated(R, { A, G }), mixedStart(R), rule, linalg);
  const sigma: Tensor1D = tidy(() => mul(frobeniusNorm(A), frobeniusNorm(G)));
  return { terms: [{ A, G, sigma }, term], iterations };
};

export const kpsvd: LayerMethod<Samples, KroneckerTerms> = method(findLeadingTerm);
export const deflation: LayerMethod<Samples, KroneckerTerms> = method(findTermsByDeflation);
export const lanczos: LayerMethod<Samples, KroneckerTerms> = method(findTermsByLanczos);
export const kfacCorrected: LayerMethod<Samples, KroneckerTerms> = method(findCorrectedTerms);

function method(find: TermFinder): LayerMethod<Samples, KroneckerTerms> {
  return {
    observe(samples, { linalg, options }) {
      return find(samples, options, linalg);
    },

    refresh({ terms }, context) {
      return termsPreconditioner(terms, context);
    },

    release({ terms }) {
      for (const { A, G, sigma } of terms) dispose([A, G, sigma]);
    },
  };
}

/** The preconditioner of one term (damped as K-FAC) or two. The terms must outlive it. */
export function termsPreconditioner(
  [first, second]: readonly Pick<KroneckerTerm, "A" | "G">[],
  context: Context,
): Promise<Preconditioner> {
  return second === undefined
    ? kroneckerPreconditioner(first, context)
    : twoTermPreconditioner([first, second], context);
}
