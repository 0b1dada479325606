/**
 * Convolutions: KFC's statistics, grouped and depthwise layers as independent blocks.
 *
 *   Ω = Σ_t a aᵀ / n (its homogeneous corner is T),   Γ = Σ_t g gᵀ / (n T),   F ≈ Γ ⊗ Ω
 *
 * Source: Grosse & Martens 2016, arXiv:1602.01407, sections 3 and 4 (SUA: 4.2); `reduce` is Eschenhagen et al.
 * 2023. Weights of different groups are different parameters, so each group has its own Ω and Γ, exactly.
 *
 * @module
 */
import {
  add,
  concat,
  expandDims,
  mean,
  mul,
  ones,
  pad,
  reshape,
  slice,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  type Tensor4D,
  tidy,
  transpose,
} from "@tensorflow/tfjs-core";
import { CurvdError } from "@/errors.ts";
import { gram, outer } from "@/linalg/mod.ts";
import { missing, RowSamples } from "../row_samples.ts";
import type { Filters, Samples } from "../samples.ts";
import { type RowSource, SharedSamples } from "../shared_samples.ts";
import type { Conv2dDescription, KroneckerLayer, Statistics } from "./layer.ts";
import { outputImage, patches, type PatchGeometry, samePadding } from "./patches.ts";

export class Conv2dLayer implements KroneckerLayer {
  readonly kind = "conv2d";
  readonly groups: number;
  readonly dIn: number;
  readonly dOut: number;

  /**
   * @param channels of the input, over all groups.
   * @param filters outputs, over all groups.
   */
  constructor(
    readonly name: string,
    readonly description: Conv2dDescription,
    readonly kernel: readonly [number, number],
    readonly channels: number,
    readonly filters: number,
  ) {
    const { groups, bias } = description;
    for (const [what, count] of [["input channels", channels], ["filters", filters]] as const) {
      if (count % groups !== 0) {
        throw new CurvdError(
          "invalid-tensor",
          `Layer "${name}": ${count} ${what} cannot be split into ${groups} groups`,
          { layer: name, value: count, limit: groups },
        );
      }
    }
    this.groups = groups;
    this.dIn = channels / groups * kernel[0] * kernel[1] + Number(bias);
    this.dOut = filters / groups;
  }

  /** Rows and columns of the output for an input image. */
  geometry(image: readonly [number, number]): PatchGeometry {
    const { strides, dilations, padding, groups, layout } = this.description;
    return {
      channels: this.channels,
      image,
      kernel: this.kernel,
      strides,
      dilations,
      padding: padding === "valid"
        ? [[0, 0], [0, 0]]
        : padding === "same"
        ? samePadding(image, this.kernel, strides, dilations)
        : padding,
      groups,
      order: layout === "oihw" ? "chw" : "hwc",
    };
  }

  /** The filters in a row of its matrices. */
  get rowFilters(): Filters {
    const { layout, bias } = this.description;
    const [kh, kw] = this.kernel;
    return { taps: kh * kw, order: layout === "oihw" ? "chw" : "hwc", bias };
  }

  toMatrix(gradient: Tensor, biasGradient?: Tensor1D): Tensor3D {
    const { groups, dOut, filters } = this;
    return tidy(() => {
      const kernels = this.description.layout === "oihw"
        ? gradient
        : transpose(reshape(gradient, [-1, filters]) as Tensor2D);
      const W: Tensor3D = reshape(kernels, [groups, dOut, -1]);
      return biasGradient ? concat([W, reshape(biasGradient, [groups, dOut, 1])], 2) : W.clone();
    });
  }

  fromMatrix(U: Tensor3D): { update: Tensor; biasUpdate?: Tensor1D } {
    const { groups, dOut, filters, kernel: [kh, kw] } = this;
    const { bias, layout } = this.description;
    const features = this.dIn - Number(bias);
    const perGroup = this.channels / groups;
    return tidy(() => {
      const W = bias ? slice(U, [0, 0, 0], [groups, dOut, features]) : U;
      return {
        update: layout === "oihw"
          ? reshape(W, [filters, perGroup, kh, kw])
          : reshape(transpose(reshape(W, [filters, features]) as Tensor2D), [
            kh,
            kw,
            perGroup,
            filters,
          ]),
        biasUpdate: bias
          ? reshape(slice(U, [0, 0, features], [groups, dOut, 1]), [filters]) as Tensor1D
          : undefined,
      };
    });
  }

  samples(statistics: Statistics): Samples {
    const source = this.rowSource(statistics);
    return this.description.sharing === "reduce"
      ? reduced(source, statistics)
      : new SharedSamples(source);
  }

  gradients(statistics: Statistics, samples: Samples): Samples {
    return this.description.sharing === "reduce"
      ? new SharedSamples(this.rowSource(statistics))
      : samples;
  }

  private rowSource(
    { inputs, outputGradients, fisher, backprops, gradientScale }: Statistics,
  ): RowSource {
    const { name: layer, groups, dIn, dOut, filters } = this;
    const { dataFormat, bias, activations } = this.description;
    const last = dataFormat === "nhwc";
    const own = tidy(() => ({
      x: inputs && (last ? inputs.clone() : transpose(inputs, [0, 2, 3, 1])) as Tensor4D,
      dy: outputGradients && channelsLast(outputGradients, last, filters),
    }));
    const geometry = own.x && this.geometry([own.x.shape[1], own.x.shape[2]]);
    const examples = own.x?.shape[0] ?? own.dy!.shape[0] / backprops;
    const T = own.dy?.shape[1] ?? outputImage(geometry!).reduce((x, y) => x * y);
    return {
      layer,
      groups,
      dIn,
      dOut,
      examples,
      locations: T,
      backprops,
      fisher,
      filters: this.rowFilters,
      inputScale: 1 / examples,
      gradScale: 1 / (T * (fisher === "sampled" ? examples * backprops : examples)),
      inputs: (from, m) =>
        tidy(() => {
          const x = own.x ?? missing(layer, "inputs");
          const [, h, w, c] = x.shape;
          const rows = patches(slice(x, [from, 0, 0, 0], [m, h, w, c]), geometry!);
          return bias ? concat([rows, ones([groups, m * T, 1])], 2) : rows;
        }),
      grads: (k, from, m) =>
        tidy(() => {
          const dy = own.dy ?? missing(layer, "output_gradients");
          const rows = mul(slice(dy, [k * examples + from, 0, 0], [m, T, filters]), gradientScale);
          const byGroup = reshape(rows, [m * T, groups, dOut]);
          return groups === 1
            ? reshape(byGroup, [1, m * T, dOut])
            : transpose(byGroup, [1, 0, 2]) as Tensor3D;
        }),
      inputFactor: activations === "sua"
        ? () =>
          uncorrelatedInputFactor(own.x ?? missing(layer, "inputs"), geometry!, {
            bias,
            locations: T,
          })
        : undefined,
      dispose: () => {
        own.x?.dispose();
        own.dy?.dispose();
      },
    };
  }
}

/** `[k·n, T, filters]` of a convolution's output gradients in either format. To be called inside a tidy. */
function channelsLast(dy: Tensor, isLast: boolean, filters: number): Tensor3D {
  const [n, h, w] = isLast
    ? [sizeOf(dy.shape.slice(0, -3)), ...dy.shape.slice(-3, -1)]
    : [sizeOf(dy.shape.slice(0, -3)), ...dy.shape.slice(-2)];
  return isLast
    ? reshape(dy, [n, h * w, filters])
    : transpose(reshape(dy, [n, filters, h * w]), [0, 2, 1]) as Tensor3D;
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((x, y) => x * y, 1);
}

/** K-FAC-reduce: the mean patch and the summed gradient of each example stand for all its locations. */
function reduced(source: RowSource, { inputs, outputGradients }: Statistics): Samples {
  const { layer, groups: b, dIn, dOut, examples: n, locations: T, backprops, fisher, filters } =
    source;
  const a = inputs &&
    tidy(() => mean<Tensor3D>(reshape(source.inputs(0, n), [b, n, T, dIn]), 2));
  const g = outputGradients && tidy(() => {
    const summed = (k: number) => sum<Tensor3D>(reshape(source.grads(k, 0, n), [b, n, T, dOut]), 2);
    return concat(Array.from({ length: backprops }, (_, k) => summed(k)), 1);
  });
  source.dispose();
  return new RowSamples(a ?? null, g ?? null, { layer, fisher, backprops, filters });
}

/**
 * SUA: `Ω = T·(Cov(x) ⊗ I_K + m mᵀ)`, `m = μ ⊗ 1_K` with 1 in the homogeneous place: channels correlate, places do not.
 *
 * Source: Grosse & Martens 2016, section 4.2. Of its two assumptions only the one on activations is taken:
 * Γ stays full. The covariance is over all input pixels; borders and strides are ignored.
 */
function uncorrelatedInputFactor(
  x: Tensor4D,
  { channels, groups, kernel, order }: PatchGeometry,
  { bias, locations }: { bias: boolean; locations: number },
): Tensor3D {
  const perGroup = channels / groups, K = kernel[0] * kernel[1];
  return tidy(() => {
    const pixels = transpose(reshape(x, [-1, groups, perGroup]), [1, 0, 2]) as Tensor3D;
    const count = pixels.shape[1];
    const mu = mean<Tensor2D>(pixels, 1); // [b, c]
    const covariance = gram(sub(pixels, expandDims(mu, 1)), 1 / count); // [b, c, c]
    // Cov ⊗ I_K in channel-major order, I_K ⊗ Cov where the channel runs fastest
    const spread = kroneckerIdentity(covariance, K, order === "chw");
    const repeated = order === "chw"
      ? reshape(mul(expandDims(mu, 2), ones([1, 1, K])), [groups, -1])
      : reshape(mul(expandDims(mu, 1), ones([1, K, 1])), [groups, -1]);
    const m: Tensor2D = bias
      ? concat([repeated as Tensor2D, ones([groups, 1])], 1)
      : repeated as Tensor2D;
    const padded = bias ? bordered(spread) : spread;
    return mul(add(padded, outer(m, m)), locations);
  });
}

/** `M ⊗ I_K` (`true`) or `I_K ⊗ M` of each matrix. */
function kroneckerIdentity(M: Tensor3D, K: number, identityLast: boolean): Tensor3D {
  const [b, c] = M.shape;
  const I = Array.from({ length: K * K }, (_, i) => Number(i % (K + 1) === 0));
  return tidy(() => {
    const m = identityLast ? reshape(M, [b, c, 1, c, 1]) : reshape(M, [b, 1, c, 1, c]);
    const shape = identityLast ? [1, 1, K, 1, K] : [1, K, 1, K, 1];
    return reshape(mul(m, reshape(I, shape)), [b, c * K, c * K]);
  });
}

/** A row and a column of zeros more. */
function bordered(M: Tensor3D): Tensor3D {
  return pad(M, [[0, 0], [0, 1], [0, 1]]);
}
