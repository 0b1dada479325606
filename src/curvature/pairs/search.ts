/**
 * The search for the Kronecker products that lead R(F), of a batch or of a running average, by the route of least work.
 *
 *   in the coordinates of the samples   where the layer is applied once an example   in_samples.ts
 *   in the coordinates of the places    where it shares its weights                  in_places.ts
 *   by products with the gradients      elsewhere                                    by_products.ts
 *
 * @module
 */
import type { LinearAlgebra, Stack } from "@/linalg/mod.ts";
import type { Samples } from "../samples.ts";
import { searchByProducts } from "./by_products.ts";
import { searchInPlaces } from "./in_places.ts";
import { searchInSamples } from "./in_samples.ts";
import type { KroneckerTerm, KroneckerTerms, LeadingTerm, StoppingRule } from "./term.ts";

/** What a running average has beside its batch: `R̄ = ρ Σ_r vec(G_r) vec(A_r)ᵀ + (1 − ρ) R(F)`. */
export interface Past {
  readonly terms: readonly Pick<KroneckerTerm, "A" | "G">[];
  readonly rho: number;
}

/** A search in one R; whoever takes its terms disposes them. */
export interface PairSearch {
  /**
   * The leading pair, positive semidefinite: by power iteration from the identity. Of the past the first term alone counts: the
   * second is indefinite, a map that holds it need not take positive semidefinite matrices to such, and its leading pair may be
   * no curvature at all.
   */
  first(): Promise<FirstTerm>;
  /** The leading pair of what is left, by power iteration from a start of both signs. */
  next(): Promise<LeadingTerm>;
  /** The leading pairs, by Golub–Kahan bidiagonalization. */
  bidiagonalized(count: 1 | 2): Promise<KroneckerTerms>;
  /** The leading pair of what K-FAC's factors, of the batch or of the average, leave. */
  correction(factors: { A: Stack; G: Stack }): Promise<LeadingTerm>;
  dispose(): void;
}

/** The first term, and the search in what it leaves of R; that one lives as long as this one and the term. */
export interface FirstTerm extends LeadingTerm {
  readonly rest: PairSearch;
}

/** Lends a search. */
export async function withPairSearch<T>(
  samples: Samples,
  past: Past | null,
  rule: StoppingRule,
  linalg: LinearAlgebra,
  work: (search: PairSearch) => Promise<T>,
): Promise<T> {
  const search = await searchInSamples(samples, past, rule, linalg) ??
    searchInPlaces(samples, past, rule, linalg) ?? searchByProducts(samples, past, rule, linalg);
  try {
    return await work(search);
  } finally {
    search.dispose();
  }
}
