/**
 * K-FAC: `F ≈ G ⊗ A` with `A = E[a aᵀ]`, `G = E[g gᵀ]`, damped by the factored Tikhonov rule.
 *
 * Source: Martens & Grosse 2015, arXiv:1503.05671, sections 3 and 6.3; on convolutions it is KFC, Grosse &
 * Martens 2016, arXiv:1602.01407.
 *
 * @module
 */
import { dispose } from "@tensorflow/tfjs-core";
import { type KroneckerFactors, kroneckerPreconditioner } from "./kronecker_factors.ts";
import type { LayerMethod } from "./method.ts";
import type { Samples } from "./samples.ts";
import { woodburyPreconditioner } from "./woodbury.ts";

export const kfac: LayerMethod<Samples, KroneckerFactors> = {
  observe(samples) {
    return Promise.resolve(kroneckerFactors(samples));
  },

  refresh(factors, context) {
    return kroneckerPreconditioner(factors, context);
  },

  release({ A, G }) {
    dispose([A, G]);
  },

  direct: woodburyPreconditioner,
};

/** `A` and `G` of a batch; the caller disposes both. */
export function kroneckerFactors(samples: Samples): KroneckerFactors {
  return { A: samples.inputFactor(), G: samples.gradFactor() };
}
