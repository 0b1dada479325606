/**
 * Preconditioning in a Kronecker-factored eigenbasis.
 *
 *   F̂ = (Q_G ⊗ Q_A) diag(S) (Q_G ⊗ Q_A)ᵀ,   U = Q_G [ (Q_Gᵀ V Q_A) ∘ (S damped)^power ] Q_Aᵀ
 *
 * K-FAC's S is `λ_G λ_Aᵀ`, EKFAC's is measured. Any damping and any power cost no new factorization.
 *
 * @module
 */
import {
  add,
  dispose,
  max,
  mul,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  tidy,
} from "@tensorflow/tfjs-core";
import {
  type LinearAlgebra,
  outer,
  type Report,
  sandwich,
  type SandwichOptions,
  type Stack,
} from "@/linalg/mod.ts";
import { clipped, dampedSpectrum, eigenvalueNoise, timesPower, withoutNoise } from "./damping.ts";
import type { MethodOptions, Preconditioner } from "./method.ts";

/** Eigenvectors in columns, one matrix a block. */
export interface Eigenbasis {
  readonly Q_A: Stack;
  readonly Q_G: Stack;
}

export interface KroneckerSpectrum {
  /** `[b, d_in]`, ≥ 0. */
  readonly lambda_A: Tensor2D;
  /** `[b, d_out]`, ≥ 0. */
  readonly lambda_G: Tensor2D;
}

/** `Q_Gᵀ V Q_A`. */
export function project({ Q_A, Q_G }: Eigenbasis, V: Tensor3D): Tensor3D {
  return sandwich(Q_G, V, Q_A, { transposeLeft: true });
}

/** `Q_G V Q_Aᵀ`, of V divided by `divisor + shift` where there is one. */
export function unproject(
  { Q_A, Q_G }: Eigenbasis,
  V: Tensor3D,
  scaling: Pick<SandwichOptions, "divisor" | "shift"> = {},
): Tensor3D {
  return sandwich(Q_G, V, Q_A, { transposeRight: true, ...scaling });
}

/**
 * Eigenbases of both factors, eigenvalues clipped at 0.
 *
 * @param tolerances τ of api.md's Numbers where a factor came from outside; absent for Gram matrices.
 */
export async function eigenbasisOf(
  linalg: LinearAlgebra,
  name: string,
  factors: { A: Stack; G: Stack },
  tolerances: { A?: readonly number[]; G?: readonly number[] } = {},
): Promise<Eigenbasis & KroneckerSpectrum & { reports: { A: Report[]; G: Report[] } }> {
  const [a, g] = await linalg.eigh([
    { name: `${name}.A`, matrix: factors.A, negativeTolerance: tolerances.A },
    { name: `${name}.G`, matrix: factors.G, negativeTolerance: tolerances.G },
  ]);
  const [lambda_A, lambda_G] = [clipped(a.values), clipped(g.values)];
  dispose([a.values, g.values]);
  return {
    Q_A: a.vectors,
    Q_G: g.vectors,
    lambda_A,
    lambda_G,
    reports: { A: a.reports, G: g.reports },
  };
}

/** The preconditioner of a basis and a spectrum S `[b, d_out, d_in]`; takes over all its tensors. */
export class SpectralPreconditioner implements Preconditioner {
  readonly largest: Tensor1D;
  readonly forms: Preconditioner["forms"];
  readonly spectra: Preconditioner["spectra"];

  /**
   * @param damped `λ → (S damped)` `[b, d_out, d_in]`, made anew at each call; null where that is `S + λ`.
   * @param extra π and the factors' own spectrum, where they are known; `isMeasured`: S is not the product of that.
   */
  constructor(
    private readonly basis: Eigenbasis,
    private readonly S: Tensor3D,
    private readonly damped: ((damping: number) => Tensor3D) | null,
    private readonly options: Pick<MethodOptions, "dampings" | "power">,
    readonly reports: Preconditioner["reports"],
    private readonly extra:
      & { pi?: Tensor1D; isMeasured?: boolean }
      & Partial<KroneckerSpectrum> = {},
    /** What of S is rounding, relative to its largest value; it counts as zero where there is no damping. */
    private readonly noise = eigenvalueNoise(basis.Q_A.shape[2] + basis.Q_G.shape[2]),
  ) {
    this.largest = max(S, [1, 2]);
    const { lambda_A, lambda_G, isMeasured = false } = extra;
    const isKnown = lambda_A !== undefined && lambda_G !== undefined;
    this.forms = isKnown && !isMeasured ? { ...basis, lambda_A, lambda_G } : { ...basis, S };
    if (isKnown) this.spectra = { A: lambda_A, G: lambda_G };
  }

  get pi(): Tensor1D | undefined {
    return this.extra.pi;
  }

  apply(V: Tensor3D): Tensor3D[] {
    const { dampings, power } = this.options;
    return tidy(() => {
      const projected = project(this.basis, V);
      return dampings.map((damping) =>
        tidy(() => {
          const { spectrum, shift } = this.spectrum(damping);
          if (power === -1) return unproject(this.basis, projected, { divisor: spectrum, shift });
          return unproject(this.basis, timesPower(projected, add(spectrum, shift), power));
        })
      );
    });
  }

  /** What V is divided by: a sum that is not yet made. */
  private spectrum(damping: number): { spectrum: Tensor3D; shift: number } {
    const { S, damped, noise } = this;
    if (damped === null && damping !== 0) return { spectrum: S, shift: damping };
    const spectrum = damped?.(damping) ?? S;
    return { spectrum: damping === 0 ? withoutNoise(spectrum, noise) : spectrum, shift: 0 };
  }

  multiply(V: Tensor3D): Tensor3D {
    return tidy(() => unproject(this.basis, mul(project(this.basis, V), this.S)));
  }

  dispose(): void {
    const { pi, lambda_A, lambda_G } = this.extra;
    dispose([this.basis.Q_A, this.basis.Q_G, this.S, this.largest]);
    dispose([pi, lambda_A, lambda_G].filter((t) => t !== undefined));
  }
}

/** K-FAC in its eigenbasis: `S = λ_G λ_Aᵀ`, damped by any rule; takes over basis, spectrum and `pi`. */
export function kroneckerSpectral(
  basis: Eigenbasis,
  spectrum: KroneckerSpectrum,
  pi: Tensor1D,
  options: MethodOptions,
  reports: Preconditioner["reports"],
): SpectralPreconditioner {
  const S = outer(spectrum.lambda_G, spectrum.lambda_A);
  return new SpectralPreconditioner(
    basis,
    S,
    (damping) => dampedSpectrum(options.dampingRule, damping, { ...spectrum, pi }),
    options,
    reports,
    { pi, ...spectrum },
  );
}
