/**
 * Normalisation layers `y = scale·x̂ + shift`: their block is small, so it is kept as it is.
 *
 *   t_i = [Σ_s x̂_is·g_is ; Σ_s g_is] [2f],   F = w Σ_i t_i t_iᵀ,  or its diagonal
 *
 * Their matrices here are `[1, 1, 2f]`: scale, then shift.
 *
 * @module
 */
import {
  concat,
  mul,
  reshape,
  slice,
  square,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  tidy,
  tile,
} from "@tensorflow/tfjs-core";
import { gram } from "@/linalg/mod.ts";
import { missing } from "../row_samples.ts";
import type { PairProducts } from "../samples.ts";
import type { Layer, ScaleAndShiftDescription, Statistics } from "./layer.ts";

export class ScaleAndShiftLayer implements Layer {
  readonly kind = "scale_and_shift";

  constructor(readonly name: string, readonly description: ScaleAndShiftDescription) {}

  toMatrix(gradient: Tensor, biasGradient?: Tensor1D): Tensor3D {
    const shift = biasGradient ?? missing(this.name, "bias_gradient");
    return tidy(() => reshape(concat([gradient as Tensor1D, shift]), [1, 1, -1]));
  }

  fromMatrix(update: Tensor3D): { update: Tensor; biasUpdate: Tensor1D } {
    const { features } = this.description;
    return tidy(() => {
      const both = reshape(update, [2 * features]) as Tensor1D;
      return { update: slice(both, 0, features), biasUpdate: slice(both, features, features) };
    });
  }

  gradients(_: Statistics, samples: TangentSamples): TangentSamples {
    return samples;
  }

  samples(statistics: Statistics): TangentSamples {
    return new TangentSamples(this, statistics);
  }
}

/** Per-example tangents of a batch. */
export class TangentSamples implements PairProducts {
  readonly layer: string;
  readonly examples: number;
  readonly pairs: number;
  readonly weight: number;
  private readonly t: Tensor2D; // [k·n, 2f]

  constructor(layer: ScaleAndShiftLayer, statistics: Statistics) {
    const { outputGradients, mask, fisher, backprops, gradientScale } = statistics;
    const { name, description: { features: f } } = layer;
    const x = statistics.inputs ?? missing(name, "inputs");
    const g = outputGradients ?? missing(name, "output_gradients");
    const n = x.shape[0];
    this.layer = name;
    this.examples = n;
    this.pairs = n * backprops;
    this.weight = 1 / (fisher === "sampled" ? this.pairs : n);
    this.t = tidy(() => {
      const rows = mul(reshape(g, [backprops * n, -1, f]), gradientScale);
      const real = mask ? tile(reshape(mask.places, [n, -1, 1]), [backprops, 1, 1]) : null;
      const dy = real ? mul(rows, real) : rows;
      const xHat = tile(reshape(x, [n, -1, f]), [backprops, 1, 1]);
      return concat([sum<Tensor2D>(mul(xHat, dy), 1), sum<Tensor2D>(dy, 1)], 1);
    });
  }

  /** `F [1, 2f, 2f]`. */
  fisher(): Tensor3D {
    return tidy(() => gram(reshape(this.t, [1, ...this.t.shape]) as Tensor3D, this.weight));
  }

  /** The diagonal of F, `[2f]`. */
  fisherDiagonal(): Tensor1D {
    return tidy(() => mul(sum<Tensor1D>(square(this.t), 0), this.weight));
  }

  inner(V: Tensor3D): Tensor2D {
    return tidy(() => reshape(sum(mul(this.t, reshape(V, [1, -1])), 1), [1, this.pairs]));
  }

  dispose(): void {
    this.t.dispose();
  }
}
