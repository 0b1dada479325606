/**
 * Preconditioning with one Kronecker product `F̂ = G ⊗ A`: `U = G_d⁻¹ V A_d⁻¹`.
 *
 * One damping and power −1 take two Cholesky inverses; anything else (a sweep, exact damping, another power, the
 * spectral π) takes the eigenbasis.
 *
 * @module
 */
import { dispose, matMul, type Tensor1D, type Tensor3D, tidy } from "@tensorflow/tfjs-core";
import type { Report, Stack } from "@/linalg/mod.ts";
import { piOfFactors, piOfSpectra, shifts } from "./damping.ts";
import { eigenbasisOf, kroneckerSpectral } from "./eigenbasis.ts";
import type { Context, Preconditioner } from "./method.ts";

/** K-FAC's two factors, and how far below zero their eigenvalues may be (absent: Gram matrices). */
export interface KroneckerFactors {
  /** `[b, d_in, d_in]`. */
  readonly A: Stack;
  /** `[b, d_out, d_out]`. */
  readonly G: Stack;
  readonly tolerances?: { A?: readonly number[]; G?: readonly number[] };
}

/** The preconditioner of `G ⊗ A` under the options' damping. The factors must outlive it. */
export async function kroneckerPreconditioner(
  factors: KroneckerFactors,
  { name, linalg, options }: Context,
): Promise<Preconditioner> {
  const { A, G, tolerances = {} } = factors;
  const { dampings, dampingRule, power, pi: piRule } = options;
  if (dampings.length > 1 || dampingRule === "exact" || power !== -1 || piRule === "spectral") {
    const { Q_A, Q_G, lambda_A, lambda_G, reports } = await eigenbasisOf(
      linalg,
      name,
      factors,
      tolerances,
    );
    const pi = piOfSpectra(piRule, lambda_A, lambda_G);
    return kroneckerSpectral({ Q_A, Q_G }, { lambda_A, lambda_G }, pi, options, reports);
  }
  const pi = piOfFactors(piRule, A, G);
  const shift = shifts(dampingRule, dampings[0], pi);
  const [a, g] = await linalg.choleskyInverse([
    { name: `${name}.A`, matrix: A, shift: shift.A, negativeTolerance: tolerances.A },
    { name: `${name}.G`, matrix: G, shift: shift.G, negativeTolerance: tolerances.G },
  ]);
  dispose([shift.A, shift.G]);
  return new KroneckerInverse({ A_inv: a.inverse, G_inv: g.inverse }, {
    reports: { A: a.reports, G: g.reports },
    factors,
    pi,
  });
}

/** `U = G_inv V A_inv`; takes over the inverses and `pi`, not the factors. */
export class KroneckerInverse implements Preconditioner {
  readonly reports: Readonly<Record<string, Report[]>>;
  readonly pi?: Tensor1D;
  readonly forms: Preconditioner["forms"];
  private readonly factors?: KroneckerFactors;

  constructor(
    private readonly inverses: { A_inv: Stack; G_inv: Stack },
    { reports = {}, factors, pi }: {
      reports?: Readonly<Record<string, Report[]>>;
      factors?: KroneckerFactors;
      pi?: Tensor1D;
    } = {},
  ) {
    this.reports = reports;
    this.factors = factors;
    this.pi = pi;
    this.forms = { ...inverses };
  }

  apply(V: Tensor3D): Tensor3D[] {
    const { A_inv, G_inv } = this.inverses;
    return [tidy(() => matMul(matMul(G_inv, V), A_inv))];
  }

  multiply(V: Tensor3D): Tensor3D | null {
    return this.factors ? tidy(() => matMul(matMul(this.factors!.G, V), this.factors!.A)) : null;
  }

  dispose(): void {
    dispose([this.inverses.A_inv, this.inverses.G_inv]);
    this.pi?.dispose();
  }
}
