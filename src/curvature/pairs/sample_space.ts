/**
 * The rearranged Fisher block in the coordinates of its samples.
 *
 * Of a layer applied once an example every singular vector lies in the span of the samples, `U = Σ x_i g_i g_iᵀ`, `V = Σ y_i a_i a_iᵀ`,
 * and with the Hadamard squares of the Gram matrices, `K_A = (a aᵀ)∘²`, `K_G = (g gᵀ)∘²`, the whole problem is N × N:
 *
 *   R(F) V ↔ x = w K_A y,   R(F)ᵀ U ↔ y = w K_G x,   ‖U‖² = xᵀ K_G x,   ‖V‖² = yᵀ K_A y
 *
 * A round costs N² instead of N d², so it is done on the host, in float64, to the end; the device forms the terms once.
 * A term taken away (deflation, K-FAC's own) is a rank-one change in these coordinates too.
 *
 * Source: this is the kernel form of Koroko et al. 2022, arXiv:2201.10285, section 3.1.
 *
 * @module
 */
import { add, concat, mul, tensor1d, tensor2d, type Tensor3D, tidy } from "@tensorflow/tfjs-core";
import { type LinearAlgebra, type Stack, weightedGram } from "@/linalg/mod.ts";
import type { Samples } from "../samples.ts";
import { smallSvd } from "./small_svd.ts";
import type { KroneckerTerm, StoppingRule } from "./term.ts";

/** Most samples: two Gram matrices of 16 MiB in float64, and a round in about two milliseconds. */
export const MOST_SAMPLES = 1448;

/** A pair of singular vectors in coordinates, of unit norm, with its singular value. */
export interface SamplePair {
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly sigma: number;
}

/** A term `(Σ x_i g_i g_iᵀ) ⊗ (Σ y_i a_i a_iᵀ)` that is taken away. */
export type Removed = Pick<SamplePair, "x" | "y">;

/** Gram matrices `[size, size]`, and of each coordinate its weight in R(F) and the trace of its part of U. */
interface Coordinates {
  readonly K_A: Float64Array;
  readonly K_G: Float64Array;
  readonly weights: Float64Array;
  readonly traces: Float64Array;
}

/** R(F) less some terms. */
export class SampleSpace {
  readonly size: number;

  constructor(
    readonly coordinates: Coordinates,
    private readonly removed: readonly Removed[] = [],
  ) {
    this.size = coordinates.weights.length;
  }

  /** `R(F)` without one more term. */
  without(term: Removed): SampleSpace {
    return new SampleSpace(this.coordinates, [...this.removed, term]);
  }

  /** `R(F)` without what the coordinates from one on stand for. */
  upTo(end: number): SampleSpace {
    const weights = this.coordinates.weights.map((weight, at) => at < end ? weight : 0);
    return new SampleSpace({ ...this.coordinates, weights }, this.removed);
  }

  /** x of `R V`. */
  forward(y: Float64Array): Float64Array {
    const image = this.timesA(y);
    const x = this.#weighted(image);
    for (const term of this.removed) addScaled(x, -dot(term.y, image), term.x);
    return x;
  }

  /** y of `Rᵀ U`. */
  adjoint(x: Float64Array): Float64Array {
    const image = this.timesG(x);
    const y = this.#weighted(image);
    for (const term of this.removed) addScaled(y, -dot(term.x, image), term.y);
    return y;
  }

  /** `⟨V, V'⟩` of two coordinates. */
  innerA(y: Float64Array, other: Float64Array): number {
    return dot(y, this.timesA(other));
  }

  /** `⟨U, U'⟩`. */
  innerG(x: Float64Array, other: Float64Array): number {
    return dot(x, this.timesG(other));
  }

  /** What is there where nothing is left. */
  zeroPair(): SamplePair {
    return { x: new Float64Array(this.size), y: new Float64Array(this.size), sigma: 0 };
  }

  /** The pair with `tr U ≥ 0`. */
  oriented({ x, y, sigma }: SamplePair): SamplePair {
    return dot(x, this.coordinates.traces) < 0
      ? { x: scaled(x, -1), y: scaled(y, -1), sigma }
      : { x, y, sigma };
  }

  /** `K_A y`: `⟨V, V'⟩ = y·(K_A y')`. */
  timesA(y: Float64Array): Float64Array {
    return timesVector(this.coordinates.K_A, y);
  }

  /** `K_G x`. */
  timesG(x: Float64Array): Float64Array {
    return timesVector(this.coordinates.K_G, x);
  }

  #weighted(image: Float64Array): Float64Array {
    const { weights } = this.coordinates;
    return image.map((value, at) => weights[at] * value);
  }
}

/**
 * The space of a batch, or null where weights are shared, there are several blocks, or there are too many samples.
 *
 * The Gram matrices are float64: where all samples are alike, what tells them apart is in the last digits.
 */
export async function sampleSpaceOf(
  samples: Samples,
  linalg: LinearAlgebra,
): Promise<SampleSpace | null> {
  const rows = samples.rows();
  const { pairs, examples, weight, groups, dIn, dOut } = samples;
  if (!rows || groups > 1 || pairs > MOST_SAMPLES) return null;
  const [a, g] = (await linalg.read([rows.a, rows.g])).map((values) => Float64Array.from(values));
  const squaredGram = (x: Float64Array, n: number, k: number) =>
    linalg.float64.matMul(x, x, { m: n, k, n, transposeB: true }).map((value) => value * value);
  const K_A = paired(squaredGram(a, examples, dIn), examples, pairs);
  const K_G = squaredGram(g, pairs, dOut);
  return new SampleSpace({
    K_A,
    K_G,
    weights: new Float64Array(pairs).fill(weight),
    traces: Float64Array.from({ length: pairs }, (_, i) => Math.sqrt(K_G[i * (pairs + 1)])), // |g|²
  });
}

/** The factors of a term that stands for the past. */
export type OldTerm = Pick<KroneckerTerm, "A" | "G">;

/** Pairs, the leading one first, and the rounds they took. */
export interface SamplePairs {
  readonly pairs: SamplePair[];
  readonly iterations: number;
}

/** The leading pair, by power iteration from a positive start, or one of mixed signs. */
export function leadingInSpace(
  space: SampleSpace,
  { tolerance, maxIterations }: StoppingRule,
  start: "positive" | "mixed",
): SamplePairs {
  let y = unitA(space, startOf(space, start));
  let x: Float64Array = new Float64Array(space.size), sigma = 0, iterations = 0;
  while (iterations < maxIterations) {
    iterations++;
    x = unitG(space, space.forward(y));
    const next = space.adjoint(x);
    sigma = Math.sqrt(Math.max(0, space.innerA(next, next)));
    if (sigma === 0) break;
    const unit = scaled(next, 1 / sigma);
    const change = difference(unit, y);
    y = unit;
    if (Math.sqrt(Math.max(0, space.innerA(change, change))) <= tolerance) break;
  }
  return { pairs: [space.oriented({ x, y, sigma })], iterations };
}

/** What a pair leaves. */
export function leftBy({ x, y, sigma }: SamplePair, space: SampleSpace): SampleSpace {
  return space.without({ x: scaled(x, sigma), y });
}

/** The leading pairs, by Golub–Kahan bidiagonalization with full reorthogonalization, restarted until all hold. */
export function bidiagonalizeInSpace(
  space: SampleSpace,
  { tolerance, maxIterations }: StoppingRule,
  count: number,
): SamplePairs {
  const steps = Math.min(12, space.size);
  let start = unitA(space, startOf(space, "mixed"));
  for (let iterations = steps;; iterations += steps) {
    const p: Float64Array[] = [], q = [start];
    const B: number[][] = [];
    for (let j = 0; j < steps; j++) {
      const left = orthogonal(space.forward(q[j]), p, (u) => space.timesG(u));
      p.push(left.unit);
      const right = orthogonal(space.adjoint(left.unit), q, (v) => space.timesA(v));
      q.push(right.unit);
      B.push(
        Array.from(
          { length: steps + 1 },
          (_, i) => i === j ? left.norm : i === j + 1 ? right.norm : 0,
        ),
      );
    }
    const beyond = orthogonal(space.forward(q[steps]), p, (u) => space.timesG(u)).norm;
    const { values, left, right } = smallSvd(B);
    const pairs = Array.from({ length: Math.min(count, values.length) }, (_, i) =>
      space.oriented({
        x: combination(p, left[i]),
        y: combination(q, right[i]),
        sigma: values[i],
      }));
    const residual = Math.max(
      ...pairs.map((_, i) => values[0] > 0 ? beyond * Math.abs(right[i][steps]) / values[0] : 0),
    );
    if (residual <= tolerance || iterations + steps > maxIterations) return { pairs, iterations };
    start = unitA(
      space,
      pairs.map(({ y }) => y).reduce((sum, y) => difference(sum, scaled(y, -1))),
    );
  }
}

/** K-FAC's `G ⊗ A` in coordinates: `A = Σ a aᵀ/n`, `G = w Σ g gᵀ`, each example's a standing once a backprop. */
export function kfacCoordinates({ size }: SampleSpace, { pairs, weight }: Samples): Removed {
  const each = (value: number) => new Float64Array(size).fill(value, 0, pairs);
  return { x: each(weight), y: each(1 / pairs) };
}

/**
 * A pair as a term on the device: `A = √σ V`, `G = √σ U`; the caller disposes it.
 * @param old the terms of the space's coordinates beyond the samples.
 */
export function termOf(
  { x, y, sigma }: SamplePair,
  samples: Samples,
  old: readonly OldTerm[] = [],
): KroneckerTerm {
  const { a, g } = samples.rows()!;
  const { pairs, examples } = samples;
  const root = Math.sqrt(sigma);
  const [A, G] = tidy(() => {
    const combined = (rows: Tensor3D, coordinates: Float64Array, factors: readonly Stack[]) => {
      const weights = Float32Array.from(coordinates, (value) => value * root);
      const ofSamples = weightedGram(rows, tensor2d(weights.subarray(0, pairs), [1, pairs]));
      return factors.reduce<Stack>(
        (total, factor, r) => add(total, mul(factor, weights[pairs + r])),
        ofSamples,
      );
    };
    const paired: Tensor3D = pairs === examples
      ? a
      : concat(Array<Tensor3D>(pairs / examples).fill(a), 1);
    return [
      combined(paired, y, old.map(({ A }) => A)),
      combined(g, x, old.map(({ G }) => G)),
    ];
  });
  return { A, G, sigma: tensor1d([sigma]) };
}

/** Each example's Gram values once for every pair of its backprops. */
function paired(K: Float64Array, examples: number, pairs: number): Float64Array {
  if (pairs === examples) return K;
  const all = new Float64Array(pairs * pairs);
  for (let i = 0; i < pairs; i++) {
    for (let j = 0; j < pairs; j++) {
      all[i * pairs + j] = K[(i % examples) * examples + j % examples];
    }
  }
  return all;
}

/** Coordinates of a start: all of one sign is a positive semidefinite matrix; mixed signs reach what is beside the first pair. */
function startOf({ size }: SampleSpace, kind: "positive" | "mixed"): Float64Array {
  if (kind === "positive") return new Float64Array(size).fill(1);
  let state = 0x9e3779b9;
  return Float64Array.from({ length: size }, () => {
    state = Math.imul(state ^ (state >>> 16), 0x45d9f3b) + 0x6d2b79f5 | 0;
    return state / 2 ** 31;
  });
}

function unitA(space: SampleSpace, y: Float64Array): Float64Array {
  return divided(y, Math.sqrt(Math.max(0, space.innerA(y, y))));
}

function unitG(space: SampleSpace, x: Float64Array): Float64Array {
  return divided(x, Math.sqrt(Math.max(0, space.innerG(x, x))));
}

/**
 * `v` less its parts along unit vectors, twice, and of unit norm; what is nothing but rounding becomes zero.
 *
 * @param times `K v` of the side's inner product, `⟨u, v⟩ = u·(K v)`; all parts of a round are of one such image.
 */
function orthogonal(
  v: Float64Array,
  units: readonly Float64Array[],
  times: (v: Float64Array) => Float64Array,
): { unit: Float64Array; norm: number } {
  const rest = v.slice();
  let image = times(rest);
  const before = Math.sqrt(Math.max(0, dot(rest, image)));
  for (let round = 0; round < 2; round++) {
    for (const unit of units) addScaled(rest, -dot(unit, image), unit);
    image = times(rest);
  }
  const norm = Math.sqrt(Math.max(0, dot(rest, image)));
  return norm > 1e-12 * before
    ? { unit: divided(rest, norm), norm }
    : { unit: new Float64Array(v.length), norm: 0 };
}

function combination(vectors: readonly Float64Array[], weights: readonly number[]): Float64Array {
  const sum = new Float64Array(vectors[0].length);
  vectors.forEach((vector, i) => addScaled(sum, weights[i], vector));
  return sum;
}

function timesVector(K: Float64Array, v: Float64Array): Float64Array {
  const n = v.length;
  const product = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const row = i * n, whole = n - n % 4;
    let a = 0, b = 0, c = 0, d = 0; // four sums, which the processor overlaps
    for (let j = 0; j < whole; j += 4) {
      a += K[row + j] * v[j], b += K[row + j + 1] * v[j + 1];
      c += K[row + j + 2] * v[j + 2], d += K[row + j + 3] * v[j + 3];
    }
    for (let j = whole; j < n; j++) a += K[row + j] * v[j];
    product[i] = a + b + c + d;
  }
  return product;
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return sum;
}

function addScaled(target: Float64Array, factor: number, v: Float64Array): void {
  for (let i = 0; i < target.length; i++) target[i] += factor * v[i];
}

function scaled(v: Float64Array, factor: number): Float64Array {
  return v.map((value) => factor * value);
}

function divided(v: Float64Array, norm: number): Float64Array {
  return norm > 0 ? scaled(v, 1 / norm) : v.slice();
}

function difference(x: Float64Array, y: Float64Array): Float64Array {
  return x.map((value, i) => value - y[i]);
}
