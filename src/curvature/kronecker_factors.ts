/**
 * One Kronecker product `F̂ = G ⊗ A`: its damped inverses and `U = G_d⁻¹ V A_d⁻¹`.
 *
 * One damping and power −1 take two Cholesky inverses; anything else (a sweep, exact damping, another power) takes
 * the eigenbasis.
 *
 * @module
 */
import {
  add,
  dispose,
  div,
  expandDims,
  matMul,
  mul,
  onesLike,
  reshape,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  tidy,
} from "@tensorflow/tfjs-core";
import {
  type LinearAlgebra,
  type Report,
  sandwich,
  type ShiftedProblem,
  type Stack,
  type SymmetricProblem,
  symmetrize,
  trace,
} from "@/linalg/mod.ts";
import {
  clipped,
  eigenvalueNoise,
  hostShifts,
  piOfFactors,
  piOfSpectra,
  shifts,
  withoutNoise,
} from "./damping.ts";
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
  /** π of each block, where the host knows it ({@linkcode piOfHostFactors}); a sweep finds its own. */
  readonly pi?: readonly number[];
}

/** Damped inverses, one a damping; the caller disposes all. */
export interface DampedInverses {
  readonly A: Stack[];
  readonly G: Stack[];
  /** π of each block `[b]`; absent where it was given. */
  readonly pi?: Tensor1D;
  readonly reports: Record<string, Report[]>;
}

/** `(A + shift_A I)⁻¹` and `(G + shift_G I)⁻¹` under a factored or plain rule: by Cholesky, or a sweep from eigenbases. */
export async function dampedInverses(
  factors: SomeFactors,
  { name, linalg, options }: Context,
): Promise<DampedInverses> {
  const { dampings, pi: piRule } = options;
  const rule = options.dampingRule === "plain" ? "plain" : "factored";
  const sides = (["A", "G"] as const).flatMap((side) => {
    const matrix = factors[side];
    if (!matrix) return [];
    return [{
      side,
      matrix,
      name: `${name}.${side}`,
      negativeTolerance: factors.tolerances?.[side],
    }];
  });
  const { A, G } = factors;
  const needsSpectra = dampings.length > 1 || (piRule === "spectral" && A && G);
  if (factors.pi && !needsSpectra) {
    const shift = hostShifts(rule, dampings[0], factors.pi);
    return await choleskyInverses(linalg, sides, shift);
  }
  const bases = needsSpectra ? await linalg.eigh(sides) : null;
  const spectra = bases && Object.fromEntries(
    bases.map(({ values }, i) => [sides[i].side, clipped(values)] as const),
  );
  const pi = !A || !G
    ? tidy(() => onesLike(trace((A ?? G)!)))
    : spectra
    ? piOfSpectra(piRule, spectra.A, spectra.G)
    : piOfFactors(piRule as Exclude<typeof piRule, "spectral">, A, G);

  const inverses: { A: Stack[]; G: Stack[] } = { A: [], G: [] };
  const reports: Record<string, Report[]> = {};
  for (const damping of dampings) {
    const shift = shifts(rule, damping, pi);
    if (bases && dampings.length > 1) {
      bases.forEach(({ vectors, reports: known }, i) => {
        const { side } = sides[i];
        inverses[side].push(
          tidy(() => inverseOfSpectrum(vectors, spectrumOf(spectra![side], damping), shift[side])),
        );
        reports[side] = known;
      });
    } else {
      const found = await choleskyInverses(linalg, sides, shift);
      inverses.A.push(...found.A);
      inverses.G.push(...found.G);
      Object.assign(reports, found.reports);
    }
    dispose([shift.A, shift.G]);
  }
  if (bases) dispose(bases.map(({ vectors, values }) => [vectors, values]));
  if (spectra) dispose(spectra);
  return { ...inverses, pi, reports };
}

/** A factor to invert, and which of the two it is. */
interface Side extends SymmetricProblem {
  readonly side: "A" | "G";
}

/** The inverse of each side there is, under one damping. */
async function choleskyInverses(
  linalg: LinearAlgebra,
  sides: readonly Side[],
  shift: Record<"A" | "G", ShiftedProblem["shift"]>,
): Promise<Omit<DampedInverses, "pi">> {
  const results = await linalg.choleskyInverse(
    sides.map((problem) => ({ ...problem, shift: shift[problem.side] })),
  );
  const of = (side: "A" | "G") => results.filter((_, i) => sides[i].side === side);
  return {
    A: of("A").map(({ inverse }) => inverse),
    G: of("G").map(({ inverse }) => inverse),
    reports: Object.fromEntries(results.map(({ reports }, i) => [sides[i].side, reports])),
  };
}

/** Eigenvalues to invert: without damping, rounding counts as zero. To be called inside a tidy. */
function spectrumOf(lambda: Tensor2D, damping: number): Tensor2D {
  return damping === 0 ? withoutNoise(lambda, eigenvalueNoise(lambda.shape[1])) : lambda;
}

/** `Q diag(1/(λ + shift)) Qᵀ`, symmetric to the bit. */
function inverseOfSpectrum(Q: Stack, lambda: Tensor2D, shift: Tensor1D): Stack {
  return tidy(() => {
    const reciprocal = div(1, add(lambda, reshape(shift, [-1, 1])));
    return symmetrize(matMul(mul(Q, expandDims(reciprocal, 1)), Q, false, true));
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
