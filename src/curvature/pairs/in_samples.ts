/** Searches for pairs in the coordinates of the samples, on the host in float64. */
import type { LinearAlgebra } from "@/linalg/mod.ts";
import type { Samples } from "../samples.ts";
import { mixedSpace, runningKfacCoordinates } from "./mixed_space.ts";
import {
  bidiagonalizeInSpace,
  kfacCoordinates,
  leadingInSpace,
  leftBy,
  type SamplePair,
  type SampleSpace,
  sampleSpaceOf,
  termOf,
} from "./sample_space.ts";
import type { PairSearch, Past } from "./search.ts";
import type { KroneckerTerm, StoppingRule } from "./term.ts";

/** Null where a batch has no such coordinates, or too many. */
export async function searchInSamples(
  samples: Samples,
  past: Past | null,
  rule: StoppingRule,
  linalg: LinearAlgebra,
): Promise<PairSearch | null> {
  const batch = await sampleSpaceOf(samples, linalg);
  if (!batch) return null;
  const average = past ? await mixedSpace(batch, samples, past, linalg) : batch;
  const term = (pair: SamplePair): KroneckerTerm => termOf(pair, samples, past?.terms);
  const searchIn = (space: SampleSpace): PairSearch => ({
    first() {
      const { pairs: [pair], iterations } = leadingInSpace(
        average.upTo(samples.pairs + 1),
        rule,
        "positive",
      );
      return Promise.resolve({
        term: term(pair),
        iterations,
        rest: searchIn(leftBy(pair, space)),
      });
    },
    next() {
      const { pairs: [pair], iterations } = leadingInSpace(space, rule, "mixed");
      return Promise.resolve({ term: term(pair), iterations });
    },
    bidiagonalized(count) {
      const { pairs, iterations } = bidiagonalizeInSpace(space, rule, count);
      while (pairs.length < count) pairs.push(space.zeroPair()); // fewer coordinates than pairs asked for
      return Promise.resolve({ terms: pairs.map(term), iterations });
    },
    correction() {
      // what K-FAC leaves has no one pair far above the rest: a power iteration takes hundreds of rounds
      const kfac = past
        ? runningKfacCoordinates(space, samples, past.rho)
        : kfacCoordinates(space, samples);
      const { pairs: [pair], iterations } = bidiagonalizeInSpace(space.without(kfac), rule, 1);
      return Promise.resolve({ term: term(pair), iterations });
    },
    dispose: () => {},
  });
  return searchIn(average);
}
