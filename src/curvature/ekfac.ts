/**
 * EKFAC: K-FAC's eigenbasis with its spectrum measured again.
 *
 *   F ≈ (Q_G ⊗ Q_A) diag(S) (Q_G ⊗ Q_A)ᵀ,   S = E[(Q_Gᵀ ∇W Q_A)²],   damped S + λ
 *
 * Of all diagonals in that basis S is the nearest to F in Frobenius norm, so EKFAC is never further
 * from F than K-FAC on the same samples.
 *
 * Source: George et al. 2018, arXiv:1806.03884, Algorithm 1 and Theorem 2.
 *
 * @module
 */
import { add, dispose, type Tensor3D } from "@tensorflow/tfjs-core";
import { outer } from "@/linalg/mod.ts";
import { type Eigenbasis, eigenbasisOf, SpectralPreconditioner } from "./eigenbasis.ts";
import { kroneckerFactors } from "./kfac.ts";
import type { KroneckerFactors } from "./kronecker_factors.ts";
import type { Context, LayerMethod, MethodOptions, Preconditioner } from "./method.ts";
import type { Samples } from "./samples.ts";

export const ekfac: LayerMethod<Samples, KroneckerFactors> = {
  observe(samples) {
    return Promise.resolve(kroneckerFactors(samples));
  },

  refresh(factors, context, samples) {
    return rescaledPreconditioner(factors, context, samples);
  },

  release({ A, G }) {
    dispose([A, G]);
  },
};

/**
 * The basis of two factors with the spectrum that samples have in it; without samples K-FAC's own, `λ_G λ_Aᵀ`.
 * Shared by EKFAC (A, G) and TEKFAC (Φ, Ψ).
 */
export async function rescaledPreconditioner(
  factors: KroneckerFactors,
  { name, linalg, options }: Context,
  samples?: Samples,
): Promise<Preconditioner> {
  const { Q_A, Q_G, lambda_A, lambda_G, reports } = await eigenbasisOf(
    linalg,
    name,
    factors,
    factors.tolerances,
  );
  const S = samples ? samples.secondMoments(Q_A, Q_G) : outer(lambda_G, lambda_A);
  dispose([lambda_A, lambda_G]);
  return scaledPreconditioner({ Q_A, Q_G }, S, options, reports);
}

/** The preconditioner of a basis and its S; takes over both. */
export function scaledPreconditioner(
  basis: Eigenbasis,
  S: Tensor3D,
  options: MethodOptions,
  reports: Preconditioner["reports"] = {},
): SpectralPreconditioner {
  return new SpectralPreconditioner(basis, S, (damping) => add(S, damping), options, reports);
}
