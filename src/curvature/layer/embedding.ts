/**
 * Embeddings: one-hot inputs, so the input factor is the diagonal of the tokens' frequencies.
 *
 *   A = diag(f),   f_v = count_v / (n s),   G = Σ g gᵀ / n
 *
 * The table, its gradient and its update are `[vocabulary, d_out]`; so are the matrices here, `[1, vocabulary, d_out]`.
 *
 * @module
 */
import {
  bincount,
  div,
  expandDims,
  gather,
  mul,
  ones,
  reshape,
  squeeze,
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
import type { EmbeddingDescription, Layer, Statistics } from "./layer.ts";

export class EmbeddingLayer implements Layer {
  readonly kind = "embedding";

  constructor(
    readonly name: string,
    readonly description: EmbeddingDescription,
    readonly dOut: number,
  ) {}

  toMatrix(gradient: Tensor): Tensor3D {
    return tidy(() => expandDims<Tensor3D>(gradient as Tensor2D, 0).clone());
  }

  fromMatrix(update: Tensor3D): { update: Tensor } {
    return { update: tidy(() => squeeze(update, [0]).clone()) };
  }

  gradients(_: Statistics, samples: EmbeddingSamples): EmbeddingSamples {
    return samples;
  }

  samples(statistics: Statistics): EmbeddingSamples {
    return new EmbeddingSamples(this, statistics);
  }
}

/** A batch of ids and output gradients. */
export class EmbeddingSamples implements PairProducts {
  readonly layer: string;
  readonly examples: number;
  readonly pairs: number;
  readonly weight: number;
  private readonly places: number;
  private readonly ids: Tensor | undefined; // [n·s]
  private readonly real: Tensor1D; // [n·s], 0 where padded
  private readonly realPlaces: number;
  private readonly g: Tensor3D | undefined; // [k·n, s, d_out], zero where padded

  constructor(private readonly table: EmbeddingLayer, statistics: Statistics) {
    const { inputs, outputGradients, mask, fisher, backprops, gradientScale } = statistics;
    const shape = inputs?.shape ??
      outputGradients!.shape.slice(-(inputs ?? outputGradients!).rank, -1);
    const [n, s = 1] = shape;
    this.layer = table.name;
    this.examples = n;
    this.places = s;
    this.pairs = n * backprops;
    this.weight = 1 / (fisher === "sampled" ? this.pairs : n);
    this.realPlaces = mask ? Math.max(1, mask.real) : n * s;
    const own = tidy(() => {
      const real: Tensor1D = mask ? reshape(mask.places, [n * s]) : ones([n * s]);
      const rows = outputGradients &&
        mul(reshape(outputGradients, [backprops, n, s, table.dOut]), gradientScale);
      const masked = rows && (mask ? mul(rows, reshape(real, [1, n, s, 1])) : rows);
      return {
        ids: inputs && reshape(inputs, [n * s]),
        real: real.clone(),
        g: masked && reshape(masked, [backprops * n, s, table.dOut]) as Tensor3D,
      };
    });
    this.ids = own.ids;
    this.real = own.real;
    this.g = own.g;
  }

  /** `f [vocabulary]`, the diagonal of A; sums to 1. */
  frequencies(): Tensor1D {
    const ids = this.ids ?? missing(this.layer, "inputs");
    const { vocabulary } = this.table.description;
    return tidy(() => div(bincount(ids as Tensor1D, this.real, vocabulary), this.realPlaces));
  }

  gradFactor(): Tensor3D {
    const g = this.g ?? missing(this.layer, "output_gradients");
    return tidy(() => gram(reshape(g, [1, -1, this.table.dOut]), this.weight));
  }

  inner(V: Tensor3D): Tensor2D {
    const ids = this.ids ?? missing(this.layer, "inputs");
    const g = this.g ?? missing(this.layer, "output_gradients");
    return tidy(() => {
      const { examples: n, places: s, pairs } = this;
      const rows = reshape(gather(squeeze(V, [0]), ids as Tensor1D), [n, s, this.table.dOut]);
      const paired = tile(rows, [pairs / n, 1, 1]);
      return reshape(sum(mul(paired, g), [1, 2]), [1, pairs]);
    });
  }

  dispose(): void {
    this.ids?.dispose();
    this.real.dispose();
    this.g?.dispose();
  }
}
