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
import { frobeniusNorm, type LinearAlgebra, type Stack } from "@/linalg/mod.ts";
import { kroneckerFactors } from "./kfac.ts";
import { kroneckerPreconditioner } from "./kronecker_factors.ts";
import type { Context, LayerMethod, Preconditioner } from "./method.ts";
import { type PairSearch, withPairSearch } from "./pairs/search.ts";
import type { KroneckerTerm, KroneckerTerms, LeadingTerm, StoppingRule } from "./pairs/term.ts";
import { average } from "./running_average.ts";
import type { Samples } from "./samples.ts";
import { twoTermPreconditioner } from "./two_terms.ts";

/** Finds the terms of a batch. */
export type TermFinder = (
  samples: Samples,
  rule: StoppingRule,
  linalg: LinearAlgebra,
) => Promise<KroneckerTerms>;

/** Finds terms in a search, of a batch or of a running average. */
type Finding = (search: PairSearch) => Promise<KroneckerTerms>;

const leadingTerm: Finding = async (search) => termsOf(await search.first());

const byDeflation: Finding = (search) => firstAnd(search, (rest) => rest.next());

const byLanczos: Finding = (search) => search.bidiagonalized(2);

/** Of a running average the first pair is found by itself, as the past's second term is no part of it. */
const runningByLanczos: Finding = (search) =>
  firstAnd(search, async (rest) => {
    const { terms: [term], iterations } = await rest.bidiagonalized(1);
    return { term, iterations };
  });

async function firstAnd(
  search: PairSearch,
  findNext: (rest: PairSearch) => Promise<LeadingTerm>,
): Promise<KroneckerTerms> {
  const first = await search.first();
  return termsOf(first, await findNext(first.rest));
}

function termsOf(...found: readonly LeadingTerm[]): KroneckerTerms {
  return {
    terms: found.map(({ term }) => term),
    iterations: found.reduce((sum, { iterations }) => sum + iterations, 0),
  };
}

export const findLeadingTerm: TermFinder = ofBatch(leadingTerm);
export const findTermsByDeflation: TermFinder = ofBatch(byDeflation);
export const findTermsByLanczos: TermFinder = ofBatch(byLanczos);
export const findCorrectedTerms: TermFinder = (samples, rule, linalg) => {
  const kfac = kroneckerFactors(samples);
  return ofBatch((search) => corrected(search, kfac))(samples, rule, linalg);
};

/** K-FAC's factors, which it takes over, and the leading pair of what they leave. */
async function corrected(
  search: PairSearch,
  { A, G }: { A: Stack; G: Stack },
): Promise<KroneckerTerms> {
  const sigma: Tensor1D = tidy(() => mul(frobeniusNorm(A), frobeniusNorm(G)));
  return termsOf({ term: { A, G, sigma }, iterations: 0 }, await search.correction({ A, G }));
}

function ofBatch(find: Finding): TermFinder {
  return (samples, rule, linalg) => withPairSearch(samples, null, rule, linalg, find);
}

export const kpsvd = method(findLeadingTerm, () => leadingTerm);
export const deflation = method(findTermsByDeflation, () => byDeflation);
export const lanczos = method(findTermsByLanczos, () => runningByLanczos);
export const kfacCorrected = method(findCorrectedTerms, (old, samples, rho) => (search) => {
  const batch = kroneckerFactors(samples);
  const A = average(old.A, batch.A, rho), G = average(old.G, batch.G, rho);
  dispose([batch.A, batch.G]);
  return corrected(search, { A, G });
});

/**
 * @param running how the terms of `ρ·(old terms) + (1 − ρ)·F_batch` are found; `old` is the first of the old ones.
 */
function method(
  find: TermFinder,
  running: (old: KroneckerTerm, samples: Samples, rho: number) => Finding,
): LayerMethod<Samples, KroneckerTerms> {
  return {
    observe(samples, { linalg, options }) {
      return find(samples, options, linalg);
    },

    average({ terms }, samples, rho, { linalg, options }) {
      const find = running(terms[0], samples, rho);
      return withPairSearch(samples, { terms, rho }, options, linalg, find);
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
