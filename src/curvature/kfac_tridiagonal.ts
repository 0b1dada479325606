/**
 * Block-tridiagonal K-FAC: neighbouring layers are coupled, and the inverse is exactly block-tridiagonal.
 *
 *   Ψ_l = Ψ^G_l ⊗ Ψ^A_l,   Ψ^A_l = A_{l,l+1} A_{l+1}⁻¹,   Ψ^G_l = G_{l,l+1} G_{l+1}⁻¹
 *   Σ_l = G_l ⊗ A_l − (Ψ^G_l G_{l+1} Ψ^G_lᵀ) ⊗ (Ψ^A_l A_{l+1} Ψ^A_lᵀ),   Σ_L = G_L ⊗ A_L
 *   F̂⁻¹ = Ξᵀ diag(Σ_l⁻¹) Ξ,   Ξ = I with −Ψ_l above the diagonal
 *
 * The diagonal factors are damped first, the cross factors are not. The product is three passes:
 *
 *   V'_l = V_l − Ψ^G_l V_{l+1} Ψ^A_lᵀ;   V''_l = Σ_l⁻¹ V'_l;   U_l = V''_l − Ψ^G_{l−1}ᵀ V''_{l−1} Ψ^A_{l−1}
 *
 * Source: Martens & Grosse 2015, arXiv:1503.05671, section 4.3 and appendix B.
 *
 * @module
 */
import {
  clipByValue,
  dispose,
  div,
  matMul,
  maximum,
  mul,
  sub,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  tidy,
} from "@tensorflow/tfjs-core";
import { CurvdError } from "@/errors.ts";
import {
  outer,
  type Report,
  simultaneousDiagonalization,
  type Stack,
  symmetrize,
} from "@/linalg/mod.ts";
import { shifts, splitRatio } from "./damping.ts";
import type { Context, ModelLayer, ModelMethod, ModelPreconditioner } from "./method.ts";
import type { NamedTensors } from "./named_tensors.ts";
import type { Samples } from "./samples.ts";
import type { Pencils } from "./two_terms.ts";

/** Averages of one layer and its coupling to the next; the last has no coupling. */
export interface ChainFactors {
  readonly name: string;
  readonly A: Stack;
  readonly G: Stack;
  /** `A_{l,l+1} [1, d_in, next d_in]` and `G_{l,l+1} [1, d_out, next d_out]`. */
  readonly next: { readonly A: Tensor3D; readonly G: Tensor3D } | null;
}

/** What one layer's passes multiply with: Ψ and the pencils of Σ, or in the last layer its inverses. */
export type LinkForms =
  | (Pencils & { readonly psi_A: Tensor3D; readonly psi_G: Tensor3D })
  | { readonly A_inv: Stack; readonly G_inv: Stack };

interface Link {
  readonly forms: LinkForms;
  readonly reports: { A: Report[]; G: Report[] };
}

/** `1 − s_G s_A` is a Schur complement's eigenvalue: positive, and in float32 kept at least this. */
const LEAST_DENOMINATOR = 1e-6;

export const kfacTridiagonal: ModelMethod<Samples> = {
  async refresh(layers, context) {
    const chain = chainFactors(layers);
    const preconditioner = await chainPreconditioner(chain, context);
    dispose(chain.map(({ A, G, next }) => [A, G, ...(next ? [next.A, next.G] : [])]));
    return preconditioner;
  },
};

/** The preconditioner of a chain's averages, which it does not take over. */
export async function chainPreconditioner(
  chain: readonly ChainFactors[],
  context: Context,
): Promise<ModelPreconditioner> {
  const chains = await Promise.all(
    context.options.dampings.map((damping) => links(chain, damping, context)),
  );
  return {
    reports: chains[0].map(({ reports }) => reports),
    forms: chains[0].map(({ forms }): NamedTensors => ({ ...forms })),
    apply: (gradients) =>
      Promise.resolve(
        chains.map((chain) => solveChain(chain.map(({ forms }) => forms), gradients)),
      ),
    multiply: () => null,
    dispose: () => dispose(chains.flat().map(({ forms }): NamedTensors => ({ ...forms }))),
  };
}

/** Factors of a chain of dense layers from one batch. @throws CurvdError where the layers cannot be a chain. */
export function chainFactors(layers: readonly ModelLayer<Samples>[]): ChainFactors[] {
  const rows = layers.map(({ samples }) => {
    const rows = samples.rows();
    if (!rows) {
      throw new CurvdError(
        "unsupported",
        `Layer "${samples.layer}": kfac_tridiagonal needs layers applied once to each example`,
        { layer: samples.layer, suggestion: `sharing: "reduce"` },
      );
    }
    return rows;
  });
  expectSameExamples(layers);
  return layers.map(({ samples }, l) => ({
    name: samples.layer,
    A: samples.inputFactor(),
    G: samples.gradFactor(),
    next: l + 1 === layers.length ? null : tidy(() => ({
      A: mul<Tensor3D>(matMul(rows[l].a, rows[l + 1].a, true), 1 / samples.examples),
      G: mul<Tensor3D>(matMul(rows[l].g, rows[l + 1].g, true), samples.weight),
    })),
  }));
}

/** Coupled layers must have seen the same examples. @throws CurvdError `invalid-tensor`. */
export function expectSameExamples(layers: readonly ModelLayer<Samples>[]): void {
  const [first] = layers;
  for (const { samples } of layers) {
    if (samples.examples === first.samples.examples && samples.pairs === first.samples.pairs) {
      continue;
    }
    throw new CurvdError(
      "invalid-tensor",
      `Layer "${samples.layer}": coupled layers need statistics of the same examples: it has ` +
        `${samples.pairs} gradients, "${first.samples.layer}" has ${first.samples.pairs}`,
      { layer: samples.layer, tensor: "inputs", value: samples.pairs, limit: first.samples.pairs },
    );
  }
}

async function links(
  chain: readonly ChainFactors[],
  damping: number,
  { linalg, options }: Context,
): Promise<Link[]> {
  const rule = options.dampingRule === "plain" ? "plain" : "factored";
  const deltas = await Promise.all(chain.map(async ({ name, A, G }) => {
    const pi = await splitRatio(options.pi, { A, G }, { name, linalg });
    const delta = shifts(rule, damping, pi);
    dispose(pi);
    return delta;
  }));
  const factor = (l: number, side: "A" | "G") => ({
    name: `${chain[l].name}.${side}`,
    matrix: chain[l][side],
    shift: deltas[l][side] as Tensor1D,
  });
  const inverses = await linalg.choleskyInverse(
    chain.flatMap((_, l) => [factor(l, "A"), factor(l, "G")]),
  );
  const inverse = (l: number, side: "A" | "G") => inverses[2 * l + Number(side === "G")];

  const couplings = chain.slice(0, -1).map(({ next }, l) =>
    tidy(() => {
      const psi = (side: "A" | "G"): Tensor3D => matMul(next![side], inverse(l + 1, side).inverse);
      const [A, G] = [psi("A"), psi("G")];
      // Ψ A_{l+1} Ψᵀ = Ψ A_{l,l+1}ᵀ
      const schur = (x: Tensor3D, cross: Tensor3D) => symmetrize(matMul(x, cross, false, true));
      return { A, G, schur_A: schur(A, next!.A), schur_G: schur(G, next!.G) };
    })
  );
  const pencils = await simultaneousDiagonalization(
    linalg,
    couplings.flatMap(({ schur_A, schur_G }, l) => [
      { ...factor(l, "A"), other: schur_A },
      { ...factor(l, "G"), other: schur_G },
    ]),
  );
  dispose(deltas.map(({ A, G }) => [A, G]));
  dispose(couplings.map(({ schur_A, schur_G }) => [schur_A, schur_G]));
  const last = chain.length - 1;
  dispose(inverses.slice(0, -2).map(({ inverse }) => inverse));
  return chain.map((_, l): Link => {
    const reports = { A: inverse(l, "A").reports, G: inverse(l, "G").reports };
    if (l === last) {
      const [A_inv, G_inv] = [inverse(l, "A").inverse, inverse(l, "G").inverse];
      return { forms: { A_inv, G_inv }, reports };
    }
    const [a, g] = pencils.slice(2 * l, 2 * l + 2);
    const { A, G } = couplings[l];
    const forms = { psi_A: A, psi_G: G, K_A: a.K, s_A: a.s, K_G: g.K, s_G: g.s };
    return { forms, reports };
  });
}

/** `Σ⁻¹ V = K_G [ (K_Gᵀ V K_A) / (1 − s_G s_Aᵀ) ] K_Aᵀ`, the pencils' eigenvalues being in [0, 1). */
function solveSchur({ K_A, s_A, K_G, s_G }: Pencils, V: Tensor3D): Tensor3D {
  const inUnit = (s: Tensor2D) => clipByValue(s, 0, 1) as Tensor2D;
  const denominators = maximum(sub(1, outer(inUnit(s_G), inUnit(s_A))), LEAST_DENOMINATOR);
  const projected = matMul(matMul(K_G, V, true), K_A);
  return matMul(matMul(K_G, div<Tensor3D>(projected, denominators)), K_A, false, true);
}

/** The three passes; the caller disposes the updates. */
export function solveChain(chain: readonly LinkForms[], V: readonly Tensor3D[]): Tensor3D[] {
  return tidy(() => {
    const first = chain.map((link, l): Tensor3D =>
      "psi_A" in link
        ? sub(V[l], matMul(matMul(link.psi_G, V[l + 1]), link.psi_A, false, true))
        : V[l]
    );
    const second = chain.map((link, l): Tensor3D =>
      "psi_A" in link
        ? solveSchur(link, first[l])
        : matMul(matMul(link.G_inv, first[l]), link.A_inv)
    );
    return second.map((x, l): Tensor3D => {
      const link = chain[l - 1];
      return link && "psi_A" in link
        ? sub(x, matMul(matMul(link.psi_G, second[l - 1], true), link.psi_A))
        : x;
    });
  });
}
