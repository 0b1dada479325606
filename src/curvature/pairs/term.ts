/**
 * Kronecker products as terms of F, and the rule by which searches for them end.
 *
 * @module
 */
import type { Tensor1D } from "@tensorflow/tfjs-core";
import type { Stack } from "@/linalg/mod.ts";

/** A term `G ⊗ A` of norm σ: `A = √σ V`, `G = √σ U`, `tr G ≥ 0`. Its owner disposes the three. */
export interface KroneckerTerm {
  readonly A: Stack;
  readonly G: Stack;
  /** σ `[b]`. */
  readonly sigma: Tensor1D;
}

/** `F ≈ Σ_r G_r ⊗ A_r`, the leading term first. */
export interface KroneckerTerms {
  readonly terms: readonly KroneckerTerm[];
  /** Rounds taken, over all terms. */
  readonly iterations: number;
}

/** A leading pair, with the rounds it took. */
export interface LeadingTerm {
  readonly term: KroneckerTerm;
  readonly iterations: number;
}

export interface StoppingRule {
  /** Relative to σ. */
  readonly tolerance: number;
  readonly maxIterations: number;
}
