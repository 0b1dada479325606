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
  mixed,
  mixedStart,
  powerSvd,
  type Rearranged,
  rearranged,
  type StoppingRule,
} from "./power_svd.ts";
import { average } from "./running_average.ts";
import {
  bidiagonalizeInSpace,
  deflateInSpace,
  kfacCoordinates,
  leadingInSpace,
  type SamplePairs,
  type SampleSpace,
  sampleSpaceOf,
  termOf,
} from "./sample_space.ts";
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

/** Finds the terms of a rearranged block, of a batch or of a running average. */
type PairFinder = (
  R: Rearranged,
  rule: StoppingRule,
  linalg: LinearAlgebra,
) => Promise<KroneckerTerms>;

const leadingPair: PairFinder = async (R, rule, linalg) => {
  const { term, iterations } = await powerSvd(R, identityStart(R), rule, linalg);
  return { terms: [term], iterations };
};

const pairsByDeflation: PairFinder = async (R, rule, linalg) => {
  const first = await powerSvd(R, identityStart(R), rule, linalg);
  const second = await powerSvd(deflated(R, first.term), mixedStart(R), rule, linalg);
  return {
    terms: [first.term, second.term],
    iterations: first.iterations + second.iterations,
  };
};

export const findLeadingTerm: TermFinder = ofBatch(leadingPair, leadingInSpace);
export const findTermsByDeflation: TermFinder = ofBatch(pairsByDeflation, deflateInSpace);
export const findTermsByLanczos: TermFinder = ofBatch(
  lanczosSvd,
  (space, rule) => bidiagonalizeInSpace(space, rule),
);

/** In the coordinates of the samples where the batch has them, else by products on the device. */
function ofBatch(
  find: PairFinder,
  inSpace: (space: SampleSpace, rule: StoppingRule) => SamplePairs,
): TermFinder {
  return async (samples, rule, linalg) => {
    const space = await sampleSpaceOf(samples, linalg);
    if (!space) return await find(rearranged(samples), rule, linalg);
    const { pairs, iterations } = inSpace(space, rule);
    return { terms: pairs.map((pair) => termOf(pair, samples)), iterations };
  };
}

export const findCorrectedTerms: TermFinder = async (samples, rule, linalg) => {
  const { A, G } = kroneckerFactors(samples);
  const sigma: Tensor1D = tidy(() => mul(frobeniusNorm(A), frobeniusNorm(G)));
  const space = await sampleSpaceOf(samples, linalg);
  if (space) {
    // what K-FAC leaves has no one pair far above the rest: a power iteration takes hundreds of rounds
    const { pairs: [pair], iterations } = bidiagonalizeInSpace(
      space.without(kfacCoordinates(space, samples)),
      rule,
      1,
    );
    return { terms: [{ A, G, sigma }, termOf(pair, samples)], iterations };
  }
  const R = rearranged(samples);
  const { term, iterations } = await powerSvd(deflated(R, { A, G }), mixedStart(R), rule, linalg);
  return { terms: [{ A, G, sigma }, term], iterations };
};

export const kpsvd = method(findLeadingTerm, averagedBy(leadingPair));
export const deflation = method(findTermsByDeflation, averagedBy(pairsByDeflation));
export const lanczos = method(findTermsByLanczos, averagedBy(lanczosSvd));
export const kfacCorrected = method(findCorrectedTerms, averageCorrected);

type Average = NonNullable<LayerMethod<Samples, KroneckerTerms>["average"]>;

/** The leading pairs of `ρ·(old terms) + (1 − ρ)·F_batch`. */
function averagedBy(find: PairFinder): Average {
  return ({ terms }, samples, rho, { linalg, options }) =>
    find(mixed(terms, rearranged(samples), rho), options, linalg);
}

/** K-FAC's running averages, and the leading pair of what they leave of `ρ·(old terms) + (1 − ρ)·F_batch`. */
async function averageCorrected(
  { terms }: KroneckerTerms,
  samples: Samples,
  rho: number,
  { linalg, options }: Context,
): Promise<KroneckerTerms> {
  const [old] = terms;
  const batch = kroneckerFactors(samples);
  const A = average(old.A, batch.A, rho), G = average(old.G, batch.G, rho);
  dispose([batch.A, batch.G]);
  const R = deflated(mixed(terms, rearranged(samples), rho), { A, G });
  const { term, iterations } = await powerSvd(R, mixedStart(R), options, linalg);
  const sigma: Tensor1D = tidy(() => mul(frobeniusNorm(A), frobeniusNorm(G)));
  return { terms: [{ A, G, sigma }, term], iterations };
}

function method(find: TermFinder, average: Average): LayerMethod<Samples, KroneckerTerms> {
  return {
    observe(samples, { linalg, options }) {
      return find(samples, options, linalg);
    },

    average,

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
