/**
 * K-FAC and FOOF of an embedding: `F ≈ G ⊗ diag(f)`, whose inverse on the input side is a division by rows.
 *
 *   factored: U = (D / (f + π√λ)[:, None]) (G + √λ/π I)⁻¹,   exact: D Q_G / (f λ_Gᵀ + λ) Q_Gᵀ
 *
 * Matrices are tables `[1, vocabulary, d_out]`. A row never seen has f = 0 and is divided by the damping alone; its gradient is
 * zero unless something else (weight decay) made it.
 *
 * @module
 */
import {
  add,
  dispose,
  div,
  expandDims,
  matMul,
  max,
  mul,
  reshape,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  tidy,
} from "@tensorflow/tfjs-core";
import { type LinearAlgebra, outer, type Stack, transposeEach } from "@/linalg/mod.ts";
import {
  clipped,
  dampedSpectrum,
  piOfSizes,
  piOfSpectra,
  shifts,
  sizeOfFactor,
  sizeOfSpectrum,
  timesPower,
} from "./damping.ts";
import type { EmbeddingSamples } from "./layer/mod.ts";
import type { Context, LayerMethod, MethodOptions, Preconditioner } from "./method.ts";

export interface EmbeddingFactors {
  /** f `[vocabulary]`, the diagonal of A. */
  readonly frequencies: Tensor1D;
  /** `[1, d_out, d_out]`; absent where FOOF needs none. */
  readonly G?: Stack;
  readonly tolerances?: { G?: readonly number[] };
}

export const embeddingKfac: LayerMethod<EmbeddingSamples, EmbeddingFactors> = {
  observe(samples) {
    return Promise.resolve({ frequencies: samples.frequencies(), G: samples.gradFactor() });
  },

  refresh(state, context) {
    const { dampings, dampingRule, power, pi } = context.options;
    const plain = dampings.length === 1 && dampingRule !== "exact" && power === -1 &&
      pi !== "spectral";
    return plain ? invert(state, context) : diagonalize(state, context);
  },

  release({ frequencies, G }) {
    dispose([frequencies, ...(G ? [G] : [])]);
  },
};

export const embeddingFoof: LayerMethod<EmbeddingSamples, EmbeddingFactors> = {
  observe(samples) {
    return Promise.resolve({ frequencies: samples.frequencies() });
  },

  refresh({ frequencies }, { options }) {
    return Promise.resolve(divideRows(frequencies, options));
  },

  release({ frequencies }) {
    dispose(frequencies);
  },
};

/** FOOF's preconditioner of an embedding, from frequencies that it does not take over. */
export function divideRows(
  frequencies: Tensor1D,
  { dampings }: Pick<MethodOptions, "dampings">,
): Preconditioner {
  const rows = (scale: Tensor) => reshape(scale, [1, -1, 1]);
  return {
    reports: {},
    forms: { A_diagonal: frequencies },
    apply: (V) => dampings.map((damping) => tidy(() => div(V, rows(add(frequencies, damping))))),
    multiply: (V) => tidy(() => mul(V, rows(frequencies))),
    dispose: () => {},
  };
}

/** Damped inverses of an embedding's factors: `1/(f + shift_A) [vocabulary]`, `(G + shift_G I)⁻¹`, π. The caller disposes them. */
export async function embeddingInverses(
  { frequencies, G, tolerances }: EmbeddingFactors,
  { name, linalg, options }: Context,
): Promise<{ A_inv: Tensor1D; G_inv: Stack; pi: Tensor1D; reports: Preconditioner["reports"] }> {
  const rule = options.dampingRule === "plain" ? "plain" : "factored";
  const { dampings: [damping], pi: piRule } = options;
  const sizeOfG = piRule === "spectral"
    ? await largestEigenvalue({ name: `${name}.G`, matrix: G! }, linalg)
    : sizeOfFactor(piRule, G!);
  const pi = tidy(() =>
    piOfSizes({ A: sizeOfSpectrum(piRule, expandDims<Tensor2D>(frequencies, 0)), G: sizeOfG })
  );
  dispose(sizeOfG);
  const shift = shifts(rule, damping, pi);
  const [{ inverse, reports }] = await linalg.choleskyInverse([{
    name: `${name}.G`,
    matrix: G!,
    shift: shift.G,
    negativeTolerance: tolerances?.G,
  }]);
  const A_inv = tidy(() => div<Tensor1D>(1, add(frequencies, shift.A)));
  dispose([shift.A, shift.G]);
  return { A_inv, G_inv: inverse, pi, reports: { G: reports } };
}

async function largestEigenvalue(
  problem: { name: string; matrix: Stack },
  linalg: LinearAlgebra,
): Promise<Tensor1D> {
  const [{ vectors, values }] = await linalg.eigh([problem]);
  const largest = tidy(() => sizeOfSpectrum("spectral", clipped(values)));
  dispose([vectors, values]);
  return largest;
}

async function invert(factors: EmbeddingFactors, context: Context): Promise<Preconditioner> {
  const { A_inv, G_inv, pi, reports } = await embeddingInverses(factors, context);
  const { frequencies, G } = factors;
  return {
    ...embeddingInverse({ A_inv, G_inv }),
    reports,
    pi,
    multiply: (V) => tidy(() => matMul(mul(V, reshape(frequencies, [1, -1, 1])), G!)),
    dispose: () => dispose([A_inv, G_inv, pi]),
  };
}

/** The preconditioner of inverses that came from outside; takes them over. */
export function embeddingInverse(
  { A_inv, G_inv }: { A_inv: Tensor1D; G_inv: Stack },
): Preconditioner {
  return {
    reports: {},
    forms: { A_inv, G_inv },
    apply: (V) => [tidy(() => matMul(mul(V, reshape(A_inv, [1, -1, 1])), G_inv))],
    multiply: () => null,
    dispose: () => dispose([A_inv, G_inv]),
  };
}

/** Everything but one factored damping: in G's eigenbasis. */
async function diagonalize(
  { frequencies, G, tolerances }: EmbeddingFactors,
  { name, linalg, options }: Context,
): Promise<Preconditioner> {
  const [{ vectors: Q, values, reports }] = await linalg.eigh([{
    name: `${name}.G`,
    matrix: G!,
    negativeTolerance: tolerances?.G,
  }]);
  const lambda_G = clipped(values);
  dispose(values);
  return embeddingSpectral({ A_diagonal: frequencies, Q_G: Q, lambda_G }, options, { G: reports });
}

/** The preconditioner of f and G's eigenbasis; takes over the basis. */
export function embeddingSpectral(
  { A_diagonal: frequencies, Q_G: Q, lambda_G }: {
    A_diagonal: Tensor1D;
    Q_G: Stack;
    lambda_G: Tensor2D;
  },
  options: MethodOptions,
  reports: Preconditioner["reports"],
): Preconditioner {
  const lambda_A: Tensor2D = expandDims(frequencies, 0);
  const pi = piOfSpectra(options.pi, lambda_A, lambda_G);
  const S = outer(lambda_A, lambda_G); // [1, vocabulary, d_out]
  const largest = max<Tensor1D>(S, [1, 2]);
  const inBasis = (V: Tensor3D, scale: (projected: Tensor3D) => Tensor3D): Tensor3D =>
    matMul(scale(matMul(V, Q)), Q, false, true);
  return {
    reports,
    pi,
    largest,
    forms: { A_diagonal: frequencies, Q_G: Q, lambda_G },
    apply: (V) =>
      options.dampings.map((damping) =>
        tidy(() => {
          const spectrum = dampedSpectrum(options.dampingRule, damping, { lambda_A, lambda_G, pi });
          const table = transposeEach(spectrum); // [1, vocabulary, d_out]
          return inBasis(V, (projected) => timesPower(projected, table, options.power));
        })
      ),
    multiply: (V) => tidy(() => inBasis(V, (projected) => mul(projected, S))),
    dispose: () => dispose([Q, lambda_G, lambda_A, pi, S, largest]),
  };
}
