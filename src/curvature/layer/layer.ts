/**
 * A layer as curvature sees it: how its tensors become the matrices of the papers, and back.
 *
 * Inside, `W` is `[d_out, d_in]` as in the papers and PyTorch: `s = W a`, `∇W = g aᵀ`, `U = G⁻¹ V A⁻¹`, and
 * row-major `vec(∇W) = g ⊗ a`, so `F ≈ G ⊗ A` (math.md 1.1). `a` includes the homogeneous 1 of a bias, the last
 * column of `W` and of `A`. Gradients enter and updates leave in the layer's own layout; the transposition of `io`
 * happens here and nowhere else. (Measured: two blocked transposes are 3 % of the four products of an
 * update at 1024, and every method then reads as its paper.) A grouped convolution is a stack of `b` blocks.
 *
 * @module
 */
import type { Tensor, Tensor1D, Tensor3D } from "@tensorflow/tfjs-core";
import { CurvdError } from "@/errors.ts";
import type { Fisher, PairProducts, Samples } from "../samples.ts";

export type LayerKind = "dense" | "conv2d" | "embedding" | "scale_and_shift";

export interface DenseDescription {
  readonly kind: "dense";
  readonly bias: boolean;
  readonly layout: "oi" | "io";
  readonly sharing: "expand" | "reduce";
}

export interface Conv2dDescription {
  readonly kind: "conv2d";
  readonly bias: boolean;
  readonly layout: "oihw" | "hwio";
  readonly dataFormat: "nchw" | "nhwc";
  /** `[kh, kw]`; null: read from the gradient. */
  readonly kernelSize: readonly [number, number] | null;
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  readonly padding:
    | "valid"
    | "same"
    | readonly [readonly [number, number], readonly [number, number]];
  readonly groups: number;
  readonly sharing: "expand" | "reduce";
  readonly activations: "full" | "sua";
}

export interface EmbeddingDescription {
  readonly kind: "embedding";
  readonly vocabulary: number;
}

export interface ScaleAndShiftDescription {
  readonly kind: "scale_and_shift";
  readonly features: number;
  readonly block: "diagonal" | "full";
}

export type LayerDescription =
  | DenseDescription
  | Conv2dDescription
  | EmbeddingDescription
  | ScaleAndShiftDescription;

/** A batch's tensors of one layer, as they came; owned by the caller. */
export interface Statistics {
  readonly inputs?: Tensor;
  readonly outputGradients?: Tensor;
  /** `[n, s]`, 1 = real, 0 = padding, with the number of its ones. */
  readonly mask?: { readonly places: Tensor; readonly real: number };
  readonly fisher: Fisher;
  /** k; the leading axis of `outputGradients` where > 1 or stated. */
  readonly backprops: number;
  readonly hasBackpropAxis: boolean;
  /** What g is multiplied by (api.md, `gradient_scale`). */
  readonly gradientScale: number;
}

/** What every kind of layer can do: carry a gradient to the matrix that methods work on, and an update back. */
export interface Layer {
  readonly kind: LayerKind;
  readonly name: string;
  /** The gradient as a stack of matrices; the caller disposes it. */
  toMatrix(gradient: Tensor, biasGradient?: Tensor1D): Tensor3D;
  /** The reverse, in the layer's layout; the caller disposes both. */
  fromMatrix(update: Tensor3D): { update: Tensor; biasUpdate?: Tensor1D };
  /** The batch, as far as every layer has it; owns what it needs. */
  samples(statistics: Statistics): PairProducts;
  /**
   * The gradients of a batch's examples: its samples, but where these are what K-FAC-reduce takes in their place.
   *
   * @param samples of the same statistics; others own what they need.
   */
  gradients(statistics: Statistics, samples: PairProducts): PairProducts;
}

/** A layer whose Fisher block is approximated by Kronecker products; its matrices are `V [b, d_out, d_in]`. */
export interface KroneckerLayer extends Layer {
  readonly kind: "dense" | "conv2d";
  /** b: independent blocks. */
  readonly groups: number;
  /** Width of `a` in one block, homogeneous coordinate included. */
  readonly dIn: number;
  /** Outputs of one block. */
  readonly dOut: number;
  samples(statistics: Statistics): Samples;
}

/** Shapes of the tensors that came for a layer, by field name. */
export type Shapes = Readonly<Record<string, readonly number[] | undefined>>;

/** The error of a tensor that does not fit its layer. */
export function misshapen(
  layer: string,
  tensor: string,
  shape: readonly number[],
  expected: string,
): CurvdError {
  return new CurvdError(
    "invalid-tensor",
    `Layer "${layer}": ${tensor} must be ${expected}: it is [${shape.join(", ")}]`,
    { layer, tensor, value: shape, limit: expected },
  );
}

/** Refuses a tensor of another shape than `expected`; null leaves a side free. */
export function expectShape(
  layer: string,
  tensor: string,
  shape: readonly number[] | undefined,
  expected: readonly (number | null)[],
  meaning: string,
): void {
  if (shape === undefined) return;
  const fits = shape.length === expected.length &&
    expected.every((side, i) => side === null || side === shape[i]);
  if (!fits) throw misshapen(layer, tensor, shape, `[${meaning}]`);
}
