/**
 * A batch on the host in float64: what the true distance between F and its approximations is measured on.
 *
 *   ‖F‖² = w² Σ_ij ⟨P_i, P_j⟩²,   ⟨F, G ⊗ A⟩ = w Σ_i ⟨P_i, G P_i A⟩
 *
 * F is never formed. For a layer applied once an example `⟨P_i, P_j⟩ = (a_i·a_j)(g_i·g_j)` and no gradient is either; where weights are
 * shared the gradients are read from the device, chunk by chunk. Everything is summed in float64: the square of a
 * small error is the difference of numbers near one.
 *
 * Source: Koroko et al. 2022, arXiv:2201.10285 (the error measure); math.md 5.6 (the formulas).
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import type { Float64 } from "@/engine/mod.ts";
import type { Samples } from "./samples.ts";

/** One block of a layer, in float64. */
export interface HostSamples {
  readonly dIn: number;
  readonly dOut: number;
  readonly pairs: number;
  readonly weight: number;
  /** `‖F‖_F²`. */
  squaredNorm(): number;
  /** `w Σ_i ⟨P_i, G P_i A⟩` for symmetric factors, row-major. */
  kroneckerProduct(G: Float64Array, A: Float64Array): number;
  /** `w Σ_i (Q_Gᵀ P_i Q_A)² [d_out, d_in]`. */
  secondMoments(Q_A: Float64Array, Q_G: Float64Array): Float64Array;
  /** `Σ_o ‖F_oo‖²` of the diagonal blocks of one output neuron each: what mini-block Fisher keeps. */
  neuronBlocksNorm(): number;
  /** Every `P_i`, row-major `[d_out, d_in]`. */
  gradients(): Iterable<Float64Array>;
}

/** Reads tensors back. */
export type Read = (tensors: readonly Tensor[]) => Promise<Float32Array[]>;

/** The blocks of a layer's batch on the host. */
export async function hostSamples(
  samples: Samples,
  float64: Float64,
  read: Read,
): Promise<HostSamples[]> {
  const rows = samples.rows();
  if (rows) {
    const [a, g] = await read([rows.a, rows.g]);
    return Array.from({ length: samples.groups }, (_, block) => {
      const part = (all: Float32Array) => {
        const size = all.length / samples.groups;
        return Float64Array.from(all.subarray(block * size, (block + 1) * size));
      };
      return new HostRows(part(a), part(g), samples, float64);
    });
  }
  const { groups, dIn, dOut, pairs } = samples;
  const size = dOut * dIn;
  const blocks = Array.from({ length: groups }, () => new Float64Array(pairs * size));
  let from = 0;
  for (const P of samples.gradients()) {
    const [values] = await read([P]);
    const m = P.shape[1];
    dispose(P);
    blocks.forEach((block, i) =>
      block.set(values.subarray(i * m * size, (i + 1) * m * size), from * size)
    );
    from += m;
  }
  return blocks.map((P) => new HostGradients(P, samples, float64));
}

/** `P_i = g_i a_iᵀ`. */
class HostRows implements HostSamples {
  readonly dIn: number;
  readonly dOut: number;
  readonly pairs: number;
  readonly weight: number;
  private readonly a: Float64Array; // [pairs, dIn]

  constructor(
    a: Float64Array,
    private readonly g: Float64Array,
    { dIn, dOut, pairs, examples, weight }: Samples,
    private readonly float64: Float64,
  ) {
    this.dIn = dIn;
    this.dOut = dOut;
    this.pairs = pairs;
    this.weight = weight;
    this.a = new Float64Array(pairs * dIn);
    for (let k = 0; k < pairs / examples; k++) this.a.set(a, k * a.length);
  }

  squaredNorm(): number {
    const { a, g, pairs: n, dIn, dOut, weight } = this;
    const aa = this.float64.matMul(a, a, { m: n, k: dIn, n, transposeB: true });
    const gg = this.float64.matMul(g, g, { m: n, k: dOut, n, transposeB: true });
    let sum = 0;
    for (let i = 0; i < aa.length; i++) sum += (aa[i] * gg[i]) ** 2;
    return weight ** 2 * sum;
  }

  kroneckerProduct(G: Float64Array, A: Float64Array): number {
    const { a, g, pairs: n, dIn, dOut, weight } = this;
    const aA = this.float64.matMul(a, A, { m: n, k: dIn, n: dIn });
    const gG = this.float64.matMul(g, G, { m: n, k: dOut, n: dOut });
    let sum = 0;
    for (let i = 0; i < n; i++) sum += rowDot(aA, a, i, dIn) * rowDot(gG, g, i, dOut);
    return weight * sum;
  }

  secondMoments(Q_A: Float64Array, Q_G: Float64Array): Float64Array {
    const { a, g, pairs: n, dIn, dOut, weight, float64 } = this;
    const squared = (x: Float64Array) => x.map((value) => value * value);
    const a2 = squared(float64.matMul(a, Q_A, { m: n, k: dIn, n: dIn }));
    const g2 = squared(float64.matMul(g, Q_G, { m: n, k: dOut, n: dOut }));
    const S = float64.matMul(g2, a2, { m: dOut, k: n, n: dIn, transposeA: true });
    return S.map((value) => weight * value);
  }

  neuronBlocksNorm(): number {
    const { a, g, pairs: n, dIn, dOut, weight } = this;
    const g2 = g.map((value) => value * value);
    const aa = this.float64.matMul(a, a, { m: n, k: dIn, n, transposeB: true });
    const gg = this.float64.matMul(g2, g2, { m: n, k: dOut, n, transposeB: true });
    let sum = 0;
    for (let i = 0; i < aa.length; i++) sum += aa[i] ** 2 * gg[i]; // ‖M_o‖² = w² Σ_ij (a_i·a_j)² g_io² g_jo²
    return weight ** 2 * sum;
  }

  *gradients(): Iterable<Float64Array> {
    const { a, g, pairs, dIn, dOut } = this;
    for (let i = 0; i < pairs; i++) {
      const P = new Float64Array(dOut * dIn);
      for (let o = 0; o < dOut; o++) {
        for (let j = 0; j < dIn; j++) P[o * dIn + j] = g[i * dOut + o] * a[i * dIn + j];
      }
      yield P;
    }
  }
}

/** Gradients as they are, `[pairs, d_out·d_in]`. */
class HostGradients implements HostSamples {
  readonly dIn: number;
  readonly dOut: number;
  readonly pairs: number;
  readonly weight: number;

  constructor(
    private readonly P: Float64Array,
    { dIn, dOut, pairs, weight }: Samples,
    private readonly float64: Float64,
  ) {
    this.dIn = dIn;
    this.dOut = dOut;
    this.pairs = pairs;
    this.weight = weight;
  }

  squaredNorm(): number {
    const { P, pairs: n, weight } = this;
    const inner = this.float64.matMul(P, P, {
      m: n,
      k: this.dIn * this.dOut,
      n,
      transposeB: true,
    });
    let sum = 0;
    for (const value of inner) sum += value * value;
    return weight ** 2 * sum;
  }

  kroneckerProduct(G: Float64Array, A: Float64Array): number {
    const { dIn, dOut, weight, float64 } = this;
    let sum = 0;
    for (const P of this.gradients()) {
      const PA = float64.matMul(P, A, { m: dOut, k: dIn, n: dIn });
      const GPA = float64.matMul(G, PA, { m: dOut, k: dOut, n: dIn });
      for (let i = 0; i < P.length; i++) sum += P[i] * GPA[i];
    }
    return weight * sum;
  }

  secondMoments(Q_A: Float64Array, Q_G: Float64Array): Float64Array {
    const { dIn, dOut, weight, float64 } = this;
    const S = new Float64Array(dOut * dIn);
    for (const P of this.gradients()) {
      const PQ = float64.matMul(P, Q_A, { m: dOut, k: dIn, n: dIn });
      const rotated = float64.matMul(Q_G, PQ, { m: dOut, k: dOut, n: dIn, transposeA: true });
      for (let i = 0; i < S.length; i++) S[i] += weight * rotated[i] ** 2;
    }
    return S;
  }

  neuronBlocksNorm(): number {
    const { P, pairs: n, dIn, dOut, weight, float64 } = this;
    let sum = 0;
    for (let o = 0; o < dOut; o++) {
      const rows = new Float64Array(n * dIn);
      for (let i = 0; i < n; i++) {
        const from = (i * dOut + o) * dIn;
        rows.set(P.subarray(from, from + dIn), i * dIn);
      }
      const inner = float64.matMul(rows, rows, { m: n, k: dIn, n, transposeB: true });
      for (const value of inner) sum += value * value;
    }
    return weight ** 2 * sum;
  }

  *gradients(): Iterable<Float64Array> {
    const size = this.dIn * this.dOut;
    for (let i = 0; i < this.pairs; i++) yield this.P.subarray(i * size, (i + 1) * size);
  }
}

function rowDot(x: Float64Array, y: Float64Array, row: number, width: number): number {
  let sum = 0;
  for (let j = row * width; j < (row + 1) * width; j++) sum += x[j] * y[j];
  return sum;
}
