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
import { pairInPlaces } from "./cost.ts";
import { kroneckerFactors } from "./kfac.ts";
import { kroneckerPreconditioner } from "./kronecker_factors.ts";
import { lanczosSvd } from "./lanczos.ts";
import type { Context, LayerMethod, Preconditioner } from "./method.ts";
import type { PlaceSpace } from "./place_space.ts";
import { powerInPlaces } from "./power_in_places.ts";
import {
  deflated,
  identityStart,
  type KroneckerTerm,
  type LeadingTerm,
  mixed,
  mixedStart,
  powerSvd,
  type Rearranged,
  rearranged,
  type StoppingRule,
} from "./power_svd.ts";
import { mixedSpace, runningKfacCoordinates } from "./mixed_space.ts";
import { average } from "./running_average.ts";
import {
  bidiagonalizeInSpace,
  deflateInSpace,
  kfacCoordinates,
  leadingInSpace,
  leftBy,
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

/** The leading pair of what one term leaves. */
type RestFinder = (
  R: Rearranged,
  first: KroneckerTerm,
  rule: StoppingRule,
  linalg: LinearAlgebra,
) => Promise<LeadingTerm>;

const restByDeflation: RestFinder = (R, first, rule, linalg) =>
  powerSvd(deflated(R, first), mixedStart(R), rule, linalg);

const restByLanczos: RestFinder = async (R, first, rule, linalg) => {
  const { terms: [term, beyond], iterations } = await lanczosSvd(deflated(R, first), rule, linalg);
  dispose([beyond.A, beyond.G, beyond.sigma]);
  return { term, iterations };
};

const pairsByDeflation: PairFinder = async (R, rule, linalg) => {
  const first = await powerSvd(R, identityStart(R), rule, linalg);
  const second = await restByDeflation(R, first.term, rule, linalg);
  return {
    terms: [first.term, second.term],
    iterations: first.iterations + second.iterations,
  };
};

/** Finds the terms of a batch of a layer that shares its weights, in the coordinates of its places. */
type PlacedFinder = (
  space: PlaceSpace,
  rule: StoppingRule,
  linalg: LinearAlgebra,
) => Promise<KroneckerTerms>;

const leadingPlaced: PlacedFinder = async (space, rule, linalg) => {
  const { term, placed, iterations } = await powerInPlaces(space, "positive", rule, linalg);
  dispose(placed.Y);
  return { terms: [term], iterations };
};

const placedByDeflation: PlacedFinder = async (space, rule, linalg) => {
  const first = await powerInPlaces(space, "positive", rule, linalg);
  const second = await powerInPlaces(space.without(first.placed), "mixed", rule, linalg);
  dispose([first.placed.Y, second.placed.Y]);
  return {
    terms: [first.term, second.term],
    iterations: first.iterations + second.iterations,
  };
};

export const findLeadingTerm: TermFinder = ofBatch(leadingPair, leadingInSpace, leadingPlaced);
export const findTermsByDeflation: TermFinder = ofBatch(
  pairsByDeflation,
  deflateInSpace,
  placedByDeflation,
);
export const findTermsByLanczos: TermFinder = ofBatch(
  lanczosSvd,
  (space, rule) => bidiagonalizeInSpace(space, rule),
);

/** In the coordinates of the samples where the batch has them, in those of its places where that is less work, else by products. */
function ofBatch(
  find: PairFinder,
  inSpace: (space: SampleSpace, rule: StoppingRule) => SamplePairs,
  findPlaced?: PlacedFinder,
): TermFinder {
  return async (samples, rule, linalg) => {
    const space = await sampleSpaceOf(samples, linalg);
    if (space) {
      const { pairs, iterations } = inSpace(space, rule);
      return { terms: pairs.map((pair) => termOf(pair, samples)), iterations };
    }
    const placed = findPlaced &&
      await inPlaces(samples, (places) => findPlaced(places, rule, linalg));
    return placed ?? await find(rearranged(samples), rule, linalg);
  };
}

/** Lends a batch's places where they are worth their Gram matrix, else answers null. */
async function inPlaces<T>(
  samples: Samples,
  find: (places: PlaceSpace) => Promise<T>,
): Promise<T | null> {
  if (!pairInPlaces(samples, samples.pairs).pays) return null;
  const places = samples.places();
  if (!places) return null;
  try {
    return await find(places);
  } finally {
    places.dispose();
  }
}

export const findCorrectedTerms: TermFinder = async (samples, rule, linalg) => {
  const { A, G, term, iterations } =
    await inPlaces(samples, (places) => correctedInPlaces(places, samples, rule, linalg)) ??
      await correctedOfBatch(samples, rule, linalg);
  const sigma: Tensor1D = tidy(() => mul(frobeniusNorm(A), frobeniusNorm(G)));
  return { terms: [{ A, G, sigma }, term], iterations };
};

/** K-FAC's factors, and the leading pair of what they leave. */
type Corrected = LeadingTerm & { readonly A: Stack; readonly G: Stack };

async function correctedOfBatch(
  samples: Samples,
  rule: StoppingRule,
  linalg: LinearAlgebra,
): Promise<Corrected> {
  const { A, G } = kroneckerFactors(samples);
  const space = await sampleSpaceOf(samples, linalg);
  if (!space) return { A, G, ...await remainder(rearranged(samples), { A, G }, rule, linalg) };
  // what K-FAC leaves has no one pair far above the rest: a power iteration takes hundreds of rounds
  const { pairs: [pair], iterations } = bidiagonalizeInSpace(
    space.without(kfacCoordinates(space, samples)),
    rule,
    1,
  );
  return { A, G, term: termOf(pair, samples), iterations };
}

async function correctedInPlaces(
  places: PlaceSpace,
  samples: Samples,
  rule: StoppingRule,
  linalg: LinearAlgebra,
): Promise<Corrected> {
  const A = places.inputFactor(), G = samples.gradFactor();
  const kfac = { Y: places.inputCoordinates(), G };
  const { placed, term, iterations } = await powerInPlaces(
    places.without(kfac),
    "mixed",
    rule,
    linalg,
  );
  dispose([kfac.Y, placed.Y]);
  return { A, G, term, iterations };
}

/** The leading pair of what `G ⊗ A` leaves. */
function remainder(
  R: Rearranged,
  factors: { A: Stack; G: Stack },
  rule: StoppingRule,
  linalg: LinearAlgebra,
): Promise<LeadingTerm> {
  return powerSvd(deflated(R, factors), mixedStart(R), rule, linalg);
}

export const kpsvd = method(findLeadingTerm, averageOfOne);
export const deflation = method(
  findTermsByDeflation,
  averageOfTwo(restByDeflation, (space, rule) => leadingInSpace(space, rule, "mixed")),
);
export const lanczos = method(
  findTermsByLanczos,
  averageOfTwo(restByLanczos, (space, rule) => bidiagonalizeInSpace(space, rule, 1)),
);
export const kfacCorrected = method(findCorrectedTerms, averageCorrected);

type Average = NonNullable<LayerMethod<Samples, KroneckerTerms>["average"]>;

/** The space of a running average, or null where its batch has none. */
async function averagedSpace(
  terms: readonly KroneckerTerm[],
  samples: Samples,
  rho: number,
  linalg: LinearAlgebra,
): Promise<SampleSpace | null> {
  const space = await sampleSpaceOf(samples, linalg);
  return space && await mixedSpace(space, samples, terms, rho, linalg);
}

/** The leading pair of `ρ·G₁ ⊗ A₁ + (1 − ρ)·F_batch`. */
async function averageOfOne(
  { terms }: KroneckerTerms,
  samples: Samples,
  rho: number,
  { linalg, options }: Context,
): Promise<KroneckerTerms> {
  const old = terms.slice(0, 1);
  const space = await averagedSpace(old, samples, rho, linalg);
  if (!space) return await leadingPair(mixed(old, rearranged(samples), rho), options, linalg);
  const { pairs: [pair], iterations } = leadingInSpace(space, options);
  return { terms: [termOf(pair, samples, old)], iterations };
}

/**
 * That pair, and the leading pair of what it leaves of `ρ·(G₁ ⊗ A₁ + G₂ ⊗ A₂) + (1 − ρ)·F_batch`.
 *
 * The second term is indefinite, and a map that holds it need not take positive semidefinite matrices to such: its leading pair
 * may be no curvature at all. So the first pair is found without it.
 */
function averageOfTwo(
  findRest: RestFinder,
  restInSpace: (space: SampleSpace, rule: StoppingRule) => SamplePairs,
): Average {
  return async (old, samples, rho, context) => {
    const { linalg, options } = context;
    const space = await averagedSpace(old.terms, samples, rho, linalg);
    if (space) {
      const first = leadingInSpace(space.upTo(samples.pairs + 1), options);
      const second = restInSpace(leftBy(first.pairs[0], space), options);
      return {
        terms: [...first.pairs, ...second.pairs].map((pair) => termOf(pair, samples, old.terms)),
        iterations: first.iterations + second.iterations,
      };
    }
    const { terms: [first], iterations } = await averageOfOne(old, samples, rho, context);
    const R = mixed(old.terms, rearranged(samples), rho);
    const second = await findRest(R, first, options, linalg);
    return { terms: [first, second.term], iterations: iterations + second.iterations };
  };
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
  const sigma: Tensor1D = tidy(() => mul(frobeniusNorm(A), frobeniusNorm(G)));
  const rest = async (): Promise<LeadingTerm> => {
    const space = await averagedSpace(terms, samples, rho, linalg);
    if (!space) {
      return await remainder(mixed(terms, rearranged(samples), rho), { A, G }, options, linalg);
    }
    const kfac = runningKfacCoordinates(space, samples, rho);
    const { pairs: [pair], iterations } = bidiagonalizeInSpace(space.without(kfac), options, 1);
    return { term: termOf(pair, samples, terms), iterations };
  };
  const { term, iterations } = await rest();
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
