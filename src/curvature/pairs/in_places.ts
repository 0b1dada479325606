/** Searches for pairs in the coordinates of the places of each example. */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import type { LinearAlgebra } from "@/linalg/mod.ts";
import { pairInPlaces } from "../cost.ts";
import type { Samples } from "../samples.ts";
import { lanczosInPlaces } from "./lanczos_in_places.ts";
import type { PlaceSpace } from "./place_space.ts";
import { powerInPlaces } from "./power_in_places.ts";
import type { PairSearch, Past } from "./search.ts";
import type { StoppingRule } from "./term.ts";

/** Null where a batch has no places, or they are not worth their Gram matrix. */
export function searchInPlaces(
  samples: Samples,
  past: Past | null,
  rule: StoppingRule,
  linalg: LinearAlgebra,
): PairSearch | null {
  if (!pairInPlaces(samples, samples.pairs).pays) return null;
  const batch = samples.places();
  return batch && searchOfPlaces(batch, past, rule, linalg);
}

/** A search in the places of a batch, which it takes over. */
export function searchOfPlaces(
  batch: PlaceSpace,
  past: Past | null,
  rule: StoppingRule,
  linalg: LinearAlgebra,
): PairSearch {
  const average = past ? batch.mixedWith(past.terms, past.rho) : batch;
  const coordinates: Tensor[] = [];
  const searchIn = (space: PlaceSpace): PairSearch => ({
    async first() {
      const { placed, ...found } = await powerInPlaces(
        average.ofFirstTerm(),
        "positive",
        rule,
        linalg,
      );
      coordinates.push(placed.x);
      return { ...found, rest: searchIn(space.without(placed)) };
    },
    async next() {
      const { placed, ...found } = await powerInPlaces(space, "mixed", rule, linalg);
      coordinates.push(placed.x);
      return found;
    },
    bidiagonalized: (count) => lanczosInPlaces(space, count, rule, linalg),
    async correction({ G }) {
      const kfac = { x: space.inputCoordinates(), G };
      coordinates.push(kfac.x);
      // what K-FAC leaves has no one pair far above the rest: a power iteration takes hundreds of rounds
      const { terms: [term], iterations } = await lanczosInPlaces(
        space.without(kfac),
        1,
        rule,
        linalg,
      );
      return { term, iterations };
    },
    dispose() {
      dispose(coordinates);
      average.dispose();
    },
  });
  return searchIn(average);
}
