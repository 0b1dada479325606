/** Searches for pairs by products with the gradients of the examples. */
import type { LinearAlgebra } from "@/linalg/mod.ts";
import type { Samples } from "../samples.ts";
import { lanczosSvd } from "./lanczos.ts";
import {
  deflated,
  identityStart,
  mixed,
  mixedStart,
  powerSvd,
  type Rearranged,
  rearranged,
} from "./power_svd.ts";
import type { PairSearch, Past } from "./search.ts";
import type { StoppingRule } from "./term.ts";

export function searchByProducts(
  samples: Samples,
  past: Past | null,
  rule: StoppingRule,
  linalg: LinearAlgebra,
): PairSearch {
  const batch = rearranged(samples);
  const average = (count?: number): Rearranged =>
    past ? mixed(past.terms.slice(0, count), batch, past.rho) : batch;
  const searchIn = (R: Rearranged): PairSearch => ({
    async first() {
      const found = await powerSvd(average(1), identityStart(R), rule, linalg);
      return { ...found, rest: searchIn(deflated(R, found.term)) };
    },
    next: () => powerSvd(R, mixedStart(R), rule, linalg),
    bidiagonalized: (count) => lanczosSvd(R, count, rule, linalg),
    correction: (factors) => powerSvd(deflated(R, factors), mixedStart(R), rule, linalg),
    dispose: () => {},
  });
  return searchIn(average());
}
