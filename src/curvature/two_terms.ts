/**
 * Preconditioning with a sum of two Kronecker products, `F̂ = G₁ ⊗ A₁ + G₂ ⊗ A₂`.
 *
 *   K_Aᵀ A₁ K_A = I,  K_Aᵀ A₂ K_A = diag(s_A),  and so for G
 *   U = K_G [ (K_Gᵀ V K_A) / max(1 + s_G s_Aᵀ, floor) ] K_Aᵀ
 *
 * The first pair is damped (or, `all`, both: PINN layers). The second pair of a rank-two fit is indefinite, and in most layers so is
 * the sum: `floor` keeps its sign and clips only denominators near or below zero; `abs_factors`, the authors', takes
 * |s_A| and |s_G|, which is positive definite but turns the correction round where their signs differ.
 *
 * Source: Martens & Grosse 2015, appendix B (the solve); Koroko et al. 2022, section 4; Dangel et al. 2024, arXiv:2405.15603
 * (PINN).
 *
 * @module
 */
import {
  abs,
  add,
  dispose,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  tidy,
} from "@tensorflow/tfjs-core";
import { addDiagonal, sandwich, simultaneousDiagonalization, type Stack } from "@/linalg/mod.ts";
import { shifts, splitRatio } from "./damping.ts";
import type { Context, MethodOptions, Preconditioner } from "./method.ts";

/** One Kronecker product. */
export interface Pair {
  readonly A: Stack;
  readonly G: Stack;
}

/** The preconditioner of two terms. The terms must outlive it. */
export async function twoTermPreconditioner(
  [first, second]: readonly [Pair, Pair],
  context: Context,
): Promise<Preconditioner> {
  const { name, linalg, options } = context;
  const { dampings, floor, indefinite } = options;
  const solvers = await Promise.all(dampings.map(async (damping) => {
    const shift = await shiftsOf(first, damping, context);
    const other = options.dampedTerms === "all" ? await shifted(second, damping, context) : second;
    const [a, g] = await simultaneousDiagonalization(linalg, [
      { name: `${name}.A`, matrix: first.A, shift: shift.A, other: other.A },
      { name: `${name}.G`, matrix: first.G, shift: shift.G, other: other.G },
    ]);
    dispose([shift.A, shift.G]);
    if (other !== second) dispose([other.A, other.G]);
    return { a, g };
  }));
  const [{ a, g }] = solvers;
  return {
    reports: { A: a.reports, G: g.reports },
    forms: { K_A: a.K, K_G: g.K, s_A: a.s, s_G: g.s },
    apply: (V) =>
      solvers.map(({ a, g }) =>
        solveTwoTerms({ K_A: a.K, s_A: a.s, K_G: g.K, s_G: g.s }, { floor, indefinite }, V)
      ),
    multiply: (V) =>
      tidy(() => add(sandwich(first.G, V, first.A), sandwich(second.G, V, second.A))),
    dispose: () => dispose(solvers.map(({ a, g }) => [a.K, a.s, g.K, g.s])),
  };
}

/** Both pencils: `K_Aᵀ A₁ K_A = I`, `K_Aᵀ A₂ K_A = diag(s_A)`, and so for G. */
export interface Pencils {
  readonly K_A: Stack;
  readonly s_A: Tensor2D;
  readonly K_G: Stack;
  readonly s_G: Tensor2D;
}

/** `U = K_G [ (K_Gᵀ V K_A) / max(1 + s_G s_Aᵀ, floor) ] K_Aᵀ`; the caller disposes it. */
export function solveTwoTerms(
  { K_A, s_A, K_G, s_G }: Pencils,
  { floor, indefinite }: Pick<MethodOptions, "floor" | "indefinite">,
  V: Tensor3D,
): Tensor3D {
  return tidy(() => {
    const projected = sandwich(K_G, V, K_A, { transposeLeft: true });
    const denominator = indefinite === "abs_factors"
      ? { divisor: { u: abs(s_G), v: abs(s_A) }, shift: 1 }
      : { divisor: { u: s_G, v: s_A }, shift: 1, floor };
    return sandwich(K_G, projected, K_A, { transposeRight: true, ...denominator });
  });
}

/** What is added to the diagonals of a pair, `[b]` each. `abs_factors` damps plainly. */
async function shiftsOf(
  pair: Pair,
  damping: number,
  { name, linalg, options }: Context,
): Promise<{ A: Tensor1D; G: Tensor1D }> {
  const { dampingRule, indefinite, pi: piRule } = options;
  const isPlain = indefinite === "abs_factors" || dampingRule === "plain";
  const pi = await splitRatio(isPlain ? "off" : piRule, pair, { name, linalg });
  const shift = shifts(isPlain ? "plain" : "factored", damping, pi);
  dispose(pi);
  return shift;
}

/** Both factors damped; the caller disposes them. */
async function shifted(pair: Pair, damping: number, context: Context): Promise<Pair> {
  const shift = await shiftsOf(pair, damping, context);
  const damped = { A: addDiagonal(pair.A, shift.A), G: addDiagonal(pair.G, shift.G) };
  dispose([shift.A, shift.G]);
  return damped;
}
