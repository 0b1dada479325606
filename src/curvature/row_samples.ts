/**
 * Samples of a layer applied once to each example: `P_i = g_i a_iᵀ`, so that every product with the
 * Fisher block is a product of two thin matrices and no gradient is formed.
 *
 * @module
 */
import {
  concat,
  dispose,
  expandDims,
  matMul,
  mul,
  slice,
  square,
  sum,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  type Tensor4D,
  tidy,
} from "@tensorflow/tfjs-core";
import { CurvdError } from "@/errors.ts";
import { gram, weightedGram } from "@/linalg/mod.ts";
import { CHUNK_BUDGET_BYTES, type Filters, type Fisher, type Samples } from "./samples.ts";

export interface RowSamplesOptions {
  readonly layer: string;
  readonly fisher: Fisher;
  /** k, the number of backprops; the gradient rows come backprop by backprop. */
  readonly backprops: number;
  /** Of a convolution whose locations were reduced. */
  readonly filters?: Filters | null;
}

export class RowSamples implements Samples {
  readonly layer: string;
  readonly groups: number;
  readonly dIn: number;
  readonly dOut: number;
  readonly examples: number;
  readonly pairs: number;
  readonly weight: number;
  readonly locations = 1;
  readonly filters: Filters | null;

  /**
   * @param a `[b, n, d_in]` with the homogeneous coordinate, or null where only G is wanted; taken over.
   * @param g `[b, k·n, d_out]`, or null where only A is wanted; taken over.
   */
  constructor(
    private readonly a: Tensor3D | null,
    private readonly g: Tensor3D | null,
    { layer, fisher, backprops, filters = null }: RowSamplesOptions,
  ) {
    this.layer = layer;
    this.filters = filters;
    this.groups = (a ?? g)!.shape[0];
    this.dIn = a?.shape[2] ?? 0;
    this.dOut = g?.shape[2] ?? 0;
    this.examples = a?.shape[1] ?? g!.shape[1] / backprops;
    this.pairs = this.examples * backprops;
    this.weight = 1 / (fisher === "sampled" ? this.pairs : this.examples);
  }

  inputFactor(): Tensor3D {
    return gram(this.inputs(), 1 / this.examples);
  }

  gradFactor(): Tensor3D {
    return gram(this.grads(), this.weight);
  }

  secondMoments(Q_A: Tensor3D, Q_G: Tensor3D): Tensor3D {
    return tidy(() => {
      const a2 = square(matMul(this.pairedInputs(), Q_A)); // (Q_Aᵀ a)²
      const g2 = square(matMul(this.grads(), Q_G)); // (Q_Gᵀ g)²
      return mul(matMul(g2, a2, true), this.weight);
    });
  }

  forward(M: Tensor3D): Tensor3D {
    return tidy(() => {
      const q = quadraticForms(this.pairedInputs(), M); // aᵀ M a
      return mul(weightedGram(this.grads(), q), this.weight);
    });
  }

  adjoint(U: Tensor3D): Tensor3D {
    return tidy(() => {
      const r = quadraticForms(this.grads(), U); // gᵀ U g
      return mul(weightedGram(this.pairedInputs(), r), this.weight);
    });
  }

  partialTraces(): { inputs: Tensor3D; grads: Tensor3D; trace: Tensor1D } {
    return tidy(() => {
      const a = this.pairedInputs(), g = this.grads();
      const a2 = sum<Tensor2D>(square(a), 2), g2 = sum<Tensor2D>(square(g), 2); // |a|², |g|²
      return {
        inputs: mul(weightedGram(a, g2), this.weight), // w Σ |g|² a aᵀ
        grads: mul(weightedGram(g, a2), this.weight), // w Σ |a|² g gᵀ
        trace: mul(sum<Tensor1D>(mul(a2, g2), 1), this.weight),
      };
    });
  }

  inner(V: Tensor3D): Tensor2D {
    return tidy(() => sum(mul(matMul(this.grads(), V), this.pairedInputs()), 2)); // gᵀ V a
  }

  combine(q: Tensor2D): Tensor3D {
    return tidy(() => matMul(mul(this.grads(), expandDims(q, 2)), this.pairedInputs(), true));
  }

  *gradients(): Iterable<Tensor4D> {
    const { groups: b, pairs, dOut, dIn } = this;
    const m = Math.max(1, Math.floor(CHUNK_BUDGET_BYTES / (4 * b * dOut * dIn)));
    for (let from = 0; from < pairs; from += m) {
      const count = Math.min(m, pairs - from);
      yield tidy(() => {
        const g = slice(this.grads(), [0, from, 0], [b, count, dOut]);
        const a = slice(this.pairedInputs(), [0, from, 0], [b, count, dIn]);
        return mul(expandDims<Tensor4D>(g, 3), expandDims<Tensor4D>(a, 2));
      });
    }
  }

  rows(): { a: Tensor3D; g: Tensor3D } {
    return { a: this.inputs(), g: this.grads() };
  }

  places(): null {
    return null;
  }

  inputRows(limit: number): { rows: Tensor3D; scale: number } | null {
    return this.examples > limit ? null : { rows: this.inputs().clone(), scale: 1 / this.examples };
  }

  gradRows(limit: number): { rows: Tensor3D; scale: number } | null {
    return this.pairs > limit ? null : { rows: this.grads().clone(), scale: this.weight };
  }

  dispose(): void {
    dispose([this.a, this.g].filter((t) => t !== null));
  }

  private inputs(): Tensor3D {
    return this.a ?? missing(this.layer, "inputs");
  }

  private grads(): Tensor3D {
    return this.g ?? missing(this.layer, "output_gradients");
  }

  /** `a` of every pair `[b, k·n, d_in]`: the same inputs once a backprop. To be called inside a tidy. */
  private pairedInputs(): Tensor3D {
    const backprops = this.pairs / this.examples;
    return backprops === 1 ? this.inputs() : concat(Array(backprops).fill(this.inputs()), 1);
  }
}

/** `x_iᵀ M x_i` of every row, `[b, n]`. */
function quadraticForms(x: Tensor3D, M: Tensor3D): Tensor2D {
  return tidy(() => sum(mul(matMul(x, M), x), 2));
}

/** Fails with the name of the statistic that a caller left out. */
export function missing(layer: string, tensor: string): never {
  throw new CurvdError("invalid-request", `Layer "${layer}" needs ${tensor}`, { layer, tensor });
}
