/**
 * Dense layers `s = W a`, also with a shared axis (a sequence): `expand` and `reduce`.
 *
 * Source: Martens & Grosse 2015, arXiv:1503.05671; for the shared axis Eschenhagen et al. 2023, arXiv:2311.00636.
 *
 * @module
 */
import {
  concat,
  div,
  expandDims,
  maximum,
  mul,
  ones,
  reshape,
  slice,
  squeeze,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  tidy,
  transpose,
} from "@tensorflow/tfjs-core";
import { missing, RowSamples } from "../row_samples.ts";
import type { Samples } from "../samples.ts";
import { type RowSource, SharedSamples } from "../shared_samples.ts";
import type { DenseDescription, KroneckerLayer, Statistics } from "./layer.ts";

export class DenseLayer implements KroneckerLayer {
  readonly kind = "dense";
  readonly groups = 1;
  readonly dIn: number;

  /**
   * @param features inputs of the layer, without the homogeneous 1.
   */
  constructor(
    readonly name: string,
    readonly description: DenseDescription,
    readonly features: number,
    readonly dOut: number,
  ) {
    this.dIn = features + Number(description.bias);
  }

  toMatrix(gradient: Tensor, biasGradient?: Tensor1D): Tensor3D {
    return tidy(() => {
      const W = this.description.layout === "io" ? transpose(gradient as Tensor2D) : gradient;
      const joined = biasGradient ? concat([W as Tensor2D, expandDims(biasGradient, 1)], 1) : W;
      return expandDims<Tensor3D>(joined, 0).clone();
    });
  }

  fromMatrix(update: Tensor3D): { update: Tensor; biasUpdate?: Tensor1D } {
    return tidy(() => {
      const U: Tensor2D = squeeze(update, [0]);
      const { dOut, features } = this;
      const W = this.description.bias ? slice(U, [0, 0], [dOut, features]) : U;
      return {
        update: (this.description.layout === "io" ? transpose(W) : W).clone(),
        biasUpdate: this.description.bias
          ? reshape(slice(U, [0, features], [dOut, 1]), [dOut]) as Tensor1D
          : undefined,
      };
    });
  }

  samples(statistics: Statistics): Samples {
    const { inputs, outputGradients } = statistics;
    const rank = inputs?.rank ??
      (outputGradients ?? missing(this.name, "inputs")).rank - Number(statistics.hasBackpropAxis);
    if (rank === 2) return this.plainSamples(statistics);
    return this.description.sharing === "reduce"
      ? this.reducedSamples(statistics)
      : new SharedSamples(this.expandedRows(statistics));
  }

  gradients(statistics: Statistics, samples: Samples): Samples {
    const isShared = statistics.inputs?.rank === 3;
    return isShared && this.description.sharing === "reduce"
      ? new SharedSamples(this.expandedRows(statistics))
      : samples;
  }

  private plainSamples(statistics: Statistics): Samples {
    const { inputs, outputGradients, fisher, backprops, gradientScale } = statistics;
    const a = inputs &&
      tidy(() => expandDims<Tensor3D>(this.homogeneous(inputs as Tensor2D), 0).clone());
    const g = outputGradients &&
      tidy(() => mul<Tensor3D>(reshape(outputGradients, [1, -1, this.dOut]), gradientScale));
    return new RowSamples(a ?? null, g ?? null, { layer: this.name, fisher, backprops });
  }

  /** K-FAC-reduce: `ā_b = mean_s a_bs`, `g_b = Σ_s g_bs`; the homogeneous 1 is appended before reducing. */
  private reducedSamples(statistics: Statistics): Samples {
    const { inputs, outputGradients, mask, fisher, backprops, gradientScale } = statistics;
    const [n, s] = inputs?.shape ?? outputGradients!.shape.slice(-3);
    const a = inputs && tidy(() => {
      const real: Tensor3D = mask ? reshape(mask.places, [n, s, 1]) : ones([n, s, 1]);
      const rows = reshape(this.homogeneous(reshape(inputs, [n * s, this.features])), [n, s, -1]);
      const mean: Tensor2D = div(sum(mul(rows, real), 1), maximum(sum(real, 1), 1));
      return expandDims<Tensor3D>(mean, 0).clone();
    });
    const g = outputGradients && tidy(() => {
      const all = mul(reshape(outputGradients, [backprops, n, s, this.dOut]), gradientScale);
      const masked = mask ? mul(all, reshape(mask.places, [1, n, s, 1])) : all;
      return reshape(sum(masked, 2), [1, backprops * n, this.dOut]) as Tensor3D;
    });
    return new RowSamples(a ?? null, g ?? null, { layer: this.name, fisher, backprops });
  }

  /** K-FAC-expand: every place is a row; A over n·s (unmasked) rows, G over n. */
  private expandedRows(statistics: Statistics): RowSource {
    const { inputs, outputGradients, mask, fisher, backprops, gradientScale } = statistics;
    const { name: layer, dIn, dOut, features } = this;
    const [n, s] = (inputs ?? outputGradients!).shape.slice(inputs ? 0 : -3);
    const realPlaces = mask ? Math.max(1, mask.real) : n * s;
    const own = [inputs, outputGradients, mask?.places].map((t) => t?.clone());
    const [x, dy, real] = own;
    const masked = (rows: Tensor2D, from: number, m: number): Tensor3D => {
      const kept = real ? mul(rows, reshape(slice(real, [from, 0], [m, s]), [m * s, 1])) : rows;
      return expandDims<Tensor3D>(kept, 0).clone();
    };
    return {
      layer,
      groups: 1,
      dIn,
      dOut,
      examples: n,
      locations: s,
      backprops,
      fisher,
      filters: null,
      inputScale: 1 / realPlaces,
      gradScale: 1 / (fisher === "sampled" ? n * backprops : n),
      inputs: (from, m) =>
        tidy(() => {
          const part = slice(x ?? missing(layer, "inputs"), [from, 0, 0], [m, s, features]);
          return masked(this.homogeneous(reshape(part, [m * s, features])), from, m);
        }),
      grads: (k, from, m) =>
        tidy(() => {
          const all = dy ?? missing(layer, "output_gradients");
          const part = slice(
            reshape(all, [backprops * n, s, dOut]),
            [k * n + from, 0, 0],
            [m, s, dOut],
          );
          return masked(mul(reshape(part, [m * s, dOut]), gradientScale), from, m);
        }),
      dispose: () => own.forEach((t) => t?.dispose()),
    };
  }

  /** Appends the homogeneous 1 of a bias. To be called inside a tidy. */
  private homogeneous(rows: Tensor2D): Tensor2D {
    return this.description.bias ? concat([rows, ones([rows.shape[0], 1])], 1) : rows;
  }
}
