/**
 * A running average of terms and a batch, in the coordinates of both.
 *
 *   R̄ = ρ Σ_r vec(G_r) vec(A_r)ᵀ + (1 − ρ) R(F)
 *
 * A term that stands for the past is one coordinate more beside the samples: its factors take the place of `g gᵀ` and `a aᵀ`,
 * `⟨a aᵀ, A_r⟩ = aᵀ A_r a` and `⟨A_r, A_s⟩` border the Gram matrix, and so for G.
 *
 * Source: sample_space.ts, with Martens & Grosse 2015, section 5, for the average.
 *
 * @module
 */
import { dispose, matMul, mul, sum, type Tensor3D, tidy } from "@tensorflow/tfjs-core";
import { innerProduct, type LinearAlgebra, type Stack, trace } from "@/linalg/mod.ts";
import { kfacCoordinates, type OldTerm, type Removed, SampleSpace } from "./sample_space.ts";
import type { Samples } from "../samples.ts";

/** The space of `ρ·Σ_r G_r ⊗ A_r + (1 − ρ)·F`: the terms' coordinates follow those of the samples, in order. */
export async function mixedSpace(
  { coordinates: { K_A, K_G, weights, traces } }: SampleSpace,
  samples: Samples,
  { terms, rho }: { terms: readonly OldTerm[]; rho: number },
  linalg: LinearAlgebra,
): Promise<SampleSpace> {
  const { a, g } = samples.rows()!;
  const { pairs, examples } = samples;
  const tensors = [
    ...terms.flatMap(({ A, G }) => [forms(a, A), forms(g, G), trace(G)]),
    ...terms.flatMap((one) =>
      terms.flatMap((other) => [innerProduct(one.A, other.A), innerProduct(one.G, other.G)])
    ),
  ];
  const values = await linalg.read(tensors);
  dispose(tensors);
  const between = values.splice(3 * terms.length).map(([value]) => value);
  const rowsOf = (side: 0 | 1) =>
    terms.map((_, r) => ({
      withSamples: Float64Array.from({ length: pairs }, (_, i) =>
        values[3 * r + side][side === 0 ? i % examples : i]),
      withTerms: terms.map((_, s) =>
        between[2 * (r * terms.length + s) + side]
      ),
    }));
  return new SampleSpace({
    K_A: bordered(K_A, rowsOf(0)),
    K_G: bordered(K_G, rowsOf(1)),
    weights: Float64Array.of(...weights.map((w) => (1 - rho) * w), ...terms.map(() => rho)),
    traces: Float64Array.of(...traces, ...terms.map((_, r) => values[3 * r + 2][0])),
  });
}

/** `xᵀ M x` of each row. */
function forms(rows: Tensor3D, M: Stack) {
  return tidy(() => sum(mul(matMul(rows, M), rows), 2));
}

/** A Gram matrix with a row and a column more for each term. */
function bordered(
  K: Float64Array,
  terms: readonly { withSamples: Float64Array; withTerms: readonly number[] }[],
): Float64Array {
  const n = Math.sqrt(K.length), size = n + terms.length;
  const whole = new Float64Array(size * size);
  for (let i = 0; i < n; i++) whole.set(K.subarray(i * n, (i + 1) * n), i * size);
  terms.forEach(({ withSamples, withTerms }, r) => {
    withSamples.forEach((value, i) => whole[(n + r) * size + i] = whole[i * size + n + r] = value);
    withTerms.forEach((value, s) => whole[(n + r) * size + n + s] = value);
  });
  return whole;
}

/** `ρ·(the first old term's factors) + (1 − ρ)·(K-FAC's of the batch)`, each side for itself, in coordinates. */
export function runningKfacCoordinates(
  space: SampleSpace,
  samples: Samples,
  rho: number,
): Removed {
  const { x, y } = kfacCoordinates(space, samples);
  const mixedWithFirst = (batch: Float64Array) =>
    batch.map((value, at) => at === samples.pairs ? rho : (1 - rho) * value);
  return { x: mixedWithFirst(x), y: mixedWithFirst(y) };
}
