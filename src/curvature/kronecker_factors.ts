/**
 * One Kronecker product `F̂ = G ⊗ A`: its damped inverses and `U = G_d⁻¹ V A_d⁻¹`.
 *
 * One damping and power −1 take two Cholesky inverses; updates under anything else (a sweep, exact damping, another power)
 * take the eigenbasis.
 *
 * @module
 */
import { dispose, onesLike, type Tensor1D, type Tensor3D, tidy } from "@tensorflow/tfjs-core";
import { type Report, sandwich, type ShiftedProblem, type Stack, trace } from "@/linalg/mod.ts";
import { hostShifts, piOfSpectra, shifts, splitRatio } from "./damping.ts";
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
  context: Context,
): Promise<Preconditioner> {
  const { name, linalg, options } = context;
  const { dampings, dampingRule, power, pi: piRule } = options;
  if (dampings.length === 1 && dampingRule !== "exact" && power === -1) {
    const { A, G, pi, reports } = await dampedInverses(factors, context);
    return new KroneckerInverse({ A_inv: A[0], G_inv: G[0] }, { reports, factors, pi });
  }
  const { Q_A, Q_G, lambda_A, lambda_G, reports } = await eigenbasisOf(
    linalg,
    name,
    factors,
    factors.tolerances,
  );
  const pi = piOfSpectra(piRule, lambda_A, lambda_G);
  return kroneckerSpectral({ Q_A, Q_G }, { lambda_A, lambda_G }, pi, options, reports);
}

/** What {@linkcode dampedInverses} takes: either factor may be absent, then π is 1. */
export interface SomeFactors
  extends Partial<Pick<KroneckerFactors, "A" | "G">>, Pick<KroneckerFactors, "tolerances"> {
  /** π of each block, where the host knows it ({@linkcode piOfHostFactors}). */
  readonly pi?: readonly number[];
}

/** Damped inverses, one a damping; the caller disposes all. */
export interface DampedInverses {
  readonly A: Stack[];
  readonly G: Stack[];
  /** π of each block `[b]`; absent where it was given. */
  readonly pi?: Tensor1D;
  /** By factor: of each damping's matrices in turn. */
  readonly reports: Record<string, Report[]>;
}

/**
 * `(A + shift_A I)⁻¹` and `(G + shift_G I)⁻¹` under a factored or plain rule, all dampings in one batch.
 *
 * By Cholesky, also of a list: one eigenbasis costs as much as nine inverses, a product of spectra as much as one, and it is as good
 * as the eigenvectors are, which tells nothing of a small `λ + shift`.
 */
export async function dampedInverses(
  factors: SomeFactors,
  { name, linalg, options }: Context,
): Promise<DampedInverses> {
  const { A, G, pi: known } = factors;
  const rule = options.dampingRule === "plain" ? "plain" : "factored";
  const pi = known ? undefined : await piOf(factors, { name, linalg, options });
  const shiftsOf = (damping: number) =>
    pi ? shifts(rule, damping, pi) : hostShifts(rule, damping, known!);
  const problems = options.dampings.flatMap((damping) => {
    const shift = shiftsOf(damping);
    return (["A", "G"] as const).filter((side) => factors[side]).map((side) => ({
      side,
      name: `${name}.${side}`,
      matrix: factors[side]!,
      shift: shift[side] as ShiftedProblem["shift"],
      negativeTolerance: factors.tolerances?.[side],
    }));
  });
  const results = await linalg.choleskyInverse(problems);
  if (pi) dispose(problems.map(({ shift }) => shift as Tensor1D));
  const of = (side: "A" | "G") => results.filter((_, i) => problems[i].side === side);
  return {
    A: of("A").map(({ inverse }) => inverse),
    G: of("G").map(({ inverse }) => inverse),
    pi,
    reports: {
      ...(A ? { A: of("A").flatMap(({ reports }) => reports) } : {}),
      ...(G ? { G: of("G").flatMap(({ reports }) => reports) } : {}),
    },
  };
}

/** π of each block: 1 where there is one factor alone. */
function piOf({ A, G }: SomeFactors, { name, linalg, options }: Context): Promise<Tensor1D> {
  return A && G
    ? splitRatio(options.pi, { A, G }, { name, linalg })
    : Promise.resolve(tidy(() => onesLike(trace((A ?? G)!))));
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
    return [sandwich(G_inv, V, A_inv)];
  }

  multiply(V: Tensor3D): Tensor3D | null {
    const { factors } = this;
    return factors ? sandwich(factors.G, V, factors.A) : null;
  }

  dispose(): void {
    dispose([this.inverses.A_inv, this.inverses.G_inv]);
    this.pi?.dispose();
  }
}
