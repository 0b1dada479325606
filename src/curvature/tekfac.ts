/**
 * TEKFAC: EKFAC's spectrum in TKFAC's basis.
 *
 *   F ≈ (Q_Ψ ⊗ Q_Φ) diag(S) (Q_Ψ ⊗ Q_Φ)ᵀ,   S = E[(Q_Ψᵀ ∇W Q_Φ)²],   damped S + λ
 *
 * Source: Gao et al. 2020, arXiv:2011.13609, equations 3.1–3.9, Theorem 3.1.
 *
 * @module
 */
import { rescaledPreconditioner } from "./ekfac.ts";
import type { LayerMethod } from "./method.ts";
import type { Samples } from "./samples.ts";
import { tkfac, type TraceFactors } from "./tkfac.ts";

export const tekfac: LayerMethod<Samples, TraceFactors> = {
  ...tkfac,

  refresh({ deltaPhi, deltaPsi }, context, samples) {
    return rescaledPreconditioner({ A: deltaPhi, G: deltaPsi }, context, samples); // Φ and δΦ share their basis
  },
};
