/**
 * How far an approximation is from the layer's own empirical Fisher block: `‖F − F̂‖_F / ‖F‖_F`, and of the spectra.
 *
 *   ‖F − F̂‖² = ‖F‖² − 2⟨F, F̂⟩ + ‖F̂‖²
 *
 * in float64 throughout, of F̂ as the float32 device computed it: the true error of what would be used. Blocks of a grouped
 * convolution add up as the diagonal blocks they are.
 *
 * Source: Koroko et al. 2022, arXiv:2201.10285, the measures of its experiments.
 *
 * @module
 */
import type { Float64 } from "@/engine/mod.ts";
import type { HostSamples } from "./host_samples.ts";

/** One block of an approximation, on the host: row-major float64. */
export type HostApproximation =
  /** `Σ_r G_r ⊗ A_r`. */
  | { readonly kind: "terms"; readonly terms: readonly { G: Float64Array; A: Float64Array }[] }
  /** `(Q_G ⊗ Q_A) diag(S) (Q_G ⊗ Q_A)ᵀ`. */
  | {
    readonly kind: "spectral";
    readonly Q_A: Float64Array;
    readonly Q_G: Float64Array;
    readonly S: Float64Array;
  }
  /** F's own diagonal blocks of one output neuron each, exactly: never stored, for they may not fit. */
  | { readonly kind: "neurons" }
  /** Diagonal blocks over index sets of vec(∇W). */
  | { readonly kind: "blocks"; readonly sets: readonly BlockSet[] };

/** Blocks of one size. */
export interface BlockSet {
  /** `[blocks, d, d]`. */
  readonly M: Float64Array;
  readonly d: number;
  /** Where block k's features stand in vec(∇W), row-major. */
  indices(k: number): readonly number[];
}

/** `‖F − F̂‖²` of one block, beside `‖F‖²`. */
export function squaredError(
  samples: HostSamples,
  approximation: HostApproximation,
  squaredNorm: number,
  float64: Float64,
): number {
  const { inner, norm } = products(samples, approximation, float64);
  return squaredNorm - 2 * inner + norm;
}

/** `√(Σ ‖F − F̂‖² / Σ ‖F‖²)` over blocks; 0 for a batch of zeros, and never the root of a negative rounding. */
export function relativeError(
  squaredErrors: readonly number[],
  squaredNorms: readonly number[],
): number {
  const error = squaredErrors.reduce((x, y) => x + y, 0);
  const norm = squaredNorms.reduce((x, y) => x + y, 0);
  return norm > 0 ? Math.sqrt(Math.max(0, error) / norm) : 0;
}

/** `⟨F, F̂⟩` and `‖F̂‖²`. */
function products(
  samples: HostSamples,
  approximation: HostApproximation,
  float64: Float64,
): { inner: number; norm: number } {
  switch (approximation.kind) {
    case "terms": {
      const { terms } = approximation;
      const inner = terms.map(({ G, A }) => samples.kroneckerProduct(G, A))
        .reduce((x, y) => x + y, 0);
      const norm = terms.flatMap((k) => terms.map((l) => dot(k.G, l.G) * dot(k.A, l.A)))
        .reduce((x, y) => x + y, 0);
      return { inner, norm };
    }
    case "spectral": {
      const { Q_A, Q_G, S } = approximation;
      const moments = samples.secondMoments(Q_A, Q_G);
      return { inner: dot(moments, S), norm: spectralNorm(approximation, samples, float64) };
    }
    case "neurons": {
      const norm = samples.neuronBlocksNorm();
      return { inner: norm, norm };
    }
    case "blocks": {
      const parts = approximation.sets.map((set) => blockProducts(samples, set));
      return {
        inner: parts.reduce((sum, { inner }) => sum + inner, 0),
        norm: parts.reduce((sum, { norm }) => sum + norm, 0),
      };
    }
  }
}

/** `‖K diag(S) Kᵀ‖²` of bases that are orthogonal to float32 only: `⟨S, (N_G ∘ N_G) S (N_A ∘ N_A)⟩`, `N = QᵀQ`. */
function spectralNorm(
  { Q_A, Q_G, S }: HostApproximation & { kind: "spectral" },
  { dIn, dOut }: HostSamples,
  float64: Float64,
): number {
  const squaredGram = (Q: Float64Array, d: number) =>
    float64.matMul(Q, Q, { m: d, k: d, n: d, transposeA: true }).map((value) => value * value);
  const left = float64.matMul(squaredGram(Q_G, dOut), S, { m: dOut, k: dOut, n: dIn });
  const both = float64.matMul(left, squaredGram(Q_A, dIn), { m: dOut, k: dIn, n: dIn });
  return dot(S, both);
}

function blockProducts(
  samples: HostSamples,
  { M, d, indices }: BlockSet,
): { inner: number; norm: number } {
  const blocks = M.length / (d * d);
  let inner = 0;
  for (const P of samples.gradients()) {
    for (let k = 0; k < blocks; k++) {
      const at = indices(k);
      for (let i = 0; i < d; i++) {
        for (let j = 0; j < d; j++) inner += P[at[i]] * M[(k * d + i) * d + j] * P[at[j]];
      }
    }
  }
  return { inner: samples.weight * inner, norm: dot(M, M) };
}

/** F itself, `[d_out·d_in]²`, row-major; only for small blocks. */
export function denseFisher(samples: HostSamples, float64: Float64): Float64Array {
  const { pairs, weight, dIn, dOut } = samples;
  const D = dIn * dOut;
  const P = new Float64Array(pairs * D);
  let i = 0;
  for (const gradient of samples.gradients()) P.set(gradient, i++ * D);
  return float64.matMul(P, P, { m: D, k: pairs, n: D, transposeA: true })
    .map((value) => weight * value);
}

/** F̂ as a dense matrix, likewise. */
export function denseApproximation(
  approximation: HostApproximation,
  samples: HostSamples,
  float64: Float64,
): Float64Array {
  const { dIn, dOut } = samples;
  const D = dIn * dOut;
  switch (approximation.kind) {
    case "terms": {
      const sum = new Float64Array(D * D);
      for (const { G, A } of approximation.terms) addKronecker(sum, G, A, dOut, dIn);
      return sum;
    }
    case "spectral": {
      const { Q_A, Q_G, S } = approximation;
      const K = new Float64Array(D * D);
      addKronecker(K, Q_G, Q_A, dOut, dIn);
      const KS = K.map((value, at) => value * S[at % D]);
      return float64.matMul(KS, K, { m: D, k: D, n: D, transposeB: true });
    }
    case "neurons": {
      const isOneRow = (at: number) =>
        Math.floor(Math.floor(at / D) / dIn) === Math.floor((at % D) / dIn);
      return denseFisher(samples, float64).map((value, at) => isOneRow(at) ? value : 0);
    }
    case "blocks": {
      const dense = new Float64Array(D * D);
      for (const { M, d, indices } of approximation.sets) {
        for (let k = 0; k < M.length / (d * d); k++) {
          const at = indices(k);
          for (let i = 0; i < d; i++) {
            for (let j = 0; j < d; j++) dense[at[i] * D + at[j]] = M[(k * d + i) * d + j];
          }
        }
      }
      return dense;
    }
  }
}

/** Singular values of a symmetric matrix, descending. */
export async function singularValues(
  symmetric: Float64Array,
  D: number,
  float64: Float64,
): Promise<Float64Array> {
  const { values } = await float64.eigh(symmetric, D);
  return values.map(Math.abs).sort((x, y) => y - x);
}

function addKronecker(
  sum: Float64Array,
  G: Float64Array,
  A: Float64Array,
  dOut: number,
  dIn: number,
): void {
  const D = dOut * dIn;
  for (let o = 0; o < dOut; o++) {
    for (let p = 0; p < dOut; p++) {
      const g = G[o * dOut + p];
      for (let i = 0; i < dIn; i++) {
        const row = (o * dIn + i) * D + p * dIn;
        for (let j = 0; j < dIn; j++) sum[row + j] += g * A[i * dIn + j];
      }
    }
  }
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return sum;
}
