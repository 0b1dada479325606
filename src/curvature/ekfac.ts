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
import { dispose, matMul, mul, square, type Tensor3D, tidy } from "@tensorflow/tfjs-core";
import { outer } from "@/linalg/mod.ts";
import { eigenvalueNoise } from "./damping.ts";
import {
  type Eigenbasis,
  eigenbasisOf,
  type KroneckerSpectrum,
  project,
  SpectralPreconditioner,
} from "./eigenbasis.ts";
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
  return scaledPreconditioner({ Q_A, Q_G }, S, options, reports, { lambda_A, lambda_G });
}

/**
 * S carried from one eigenbasis to the next, `S' = (T_G∘²) S (T_A∘²)ᵀ` with `T = Q_newᵀ Q_old`: the diagonal that
 * `diag(S)` of the old basis has in the new one. The caller disposes it.
 */
export function transported(S: Tensor3D, from: Eigenbasis, to: Eigenbasis): Tensor3D {
  return tidy(() => {
    const turn_G = square(matMul(to.Q_G, from.Q_G, true));
    const turn_A = square(matMul(to.Q_A, from.Q_A, true));
    return matMul(matMul(turn_G, S), turn_A, false, true);
  });
}

/** `n (Q_Gᵀ ∇ Q_A)²`: what the mean gradient of n examples says of S (EKFAC-ra). The caller disposes it. */
export function gradientSecondMoments(basis: Eigenbasis, V: Tensor3D, examples: number): Tensor3D {
  return tidy(() => mul(square(project(basis, V)), examples));
}

/** The preconditioner of a basis and its S; takes over both, and the factors' spectrum where it is known. */
export function scaledPreconditioner(
  basis: Eigenbasis,
  S: Tensor3D,
  options: MethodOptions,
  reports: Preconditioner["reports"] = {},
  spectrum: Partial<KroneckerSpectrum> = {},
): SpectralPreconditioner {
  // S is a mean of squares in a basis that holds to ε: what is nothing but rounding is ε², not ε
  const noise = eigenvalueNoise(basis.Q_A.shape[2] + basis.Q_G.shape[2]) ** 2;
  return new SpectralPreconditioner(
    basis,
    S,
    null,
    options,
    reports,
    { ...spectrum, isMeasured: true },
    noise,
  );
}
