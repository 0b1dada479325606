/**
 * What a batch says about one layer: per-example gradients, never formed where they need not be.
 *
 * Example (or example × backprop) i has the gradient `P_i = Σ_t g_it a_itᵀ [d_out, d_in]`, a sum over the places
 * where the layer is applied (locations of a convolution, positions of a sequence; one for a plain dense
 * layer). The layer's Fisher block is `F = w Σ_i vec(P_i) vec(P_i)ᵀ` with `w = 1/n`, or `1/(nk)` where k sampled
 * backprops are averaged (math.md 1.3). Every method is written in the products below, so it does not ask
 * whether a layer shares its weights, nor how a convolution cuts its patches.
 *
 * All tensors have a leading axis of groups `[b, …]`: the independent blocks of a grouped convolution, 1 for
 * everything else. Functions return tensors the caller disposes.
 *
 * @module
 */
import {
  fill,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  type Tensor4D,
  tidy,
} from "@tensorflow/tfjs-core";

import type { PlaceSpace } from "./pairs/place_space.ts";

/** Where the output gradients come from; says how several backprops combine. */
export type Fisher = "empirical" | "sampled" | "exact";

/** What every kind of layer knows of a batch: its gradients' products with a direction. */
export interface PairProducts {
  /** Name of the layer, for messages. */
  readonly layer: string;
  /** n: examples in the batch. */
  readonly examples: number;
  /** k·n: examples times backprops, the number of gradients P_i. */
  readonly pairs: number;
  /** w: weight of one pair in F. */
  readonly weight: number;
  /** `⟨P_i, V⟩` for every pair, `[b, pairs]`. */
  inner(V: Tensor3D): Tensor2D;
  dispose(): void;
}

/** The filters in a row of d_in features. */
export interface Filters {
  /** kh·kw. */
  readonly taps: number;
  /** Whether a channel's taps are neighbours (oihw) or its channels a tap's (hwio). */
  readonly order: "chw" | "hwc";
  /** Whether the last feature is the homogeneous 1. */
  readonly bias: boolean;
}

export interface Samples extends PairProducts {
  readonly groups: number;
  /** Width of `a`, homogeneous coordinate included. */
  readonly dIn: number;
  readonly dOut: number;
  /** T: places where the layer is applied to each example. */
  readonly locations: number;
  /** Of a convolution: how a row of P falls apart into filters. Null for a dense layer. */
  readonly filters: Filters | null;

  /** K-FAC's input factor `A [b, d_in, d_in]`, scaled as api.md says. */
  inputFactor(): Tensor3D;
  /** K-FAC's gradient factor `G [b, d_out, d_out]`. */
  gradFactor(): Tensor3D;

  /** EKFAC's `S = w Σ_i (Q_Gᵀ P_i Q_A)² [b, d_out, d_in]`, elementwise square. */
  secondMoments(Q_A: Tensor3D, Q_G: Tensor3D): Tensor3D;
  /** `R(F) vec(M) = vec(w Σ_i P_i M P_iᵀ)` for symmetric `M [b, d_in, d_in]`: `[b, d_out, d_out]`, symmetric to the bit. */
  forward(M: Tensor3D): Tensor3D;
  /** `R(F)ᵀ vec(U) = vec(w Σ_i P_iᵀ U P_i)` for symmetric `U [b, d_out, d_out]`: `[b, d_in, d_in]`, symmetric to the bit. */
  adjoint(U: Tensor3D): Tensor3D;
  /**
   * The partial traces of F: `inputs = w Σ P_iᵀ P_i`, `grads = w Σ P_i P_iᵀ`, and `tr F [b]`; or, `independent`, those of
   * F as if every location of a shared layer were an example of its own.
   */
  partialTraces(
    locations: "exact" | "independent",
  ): { inputs: Tensor3D; grads: Tensor3D; trace: Tensor1D };
  /** `Σ_i q_i P_i [b, d_out, d_in]` for `q [b, pairs]`. */
  combine(q: Tensor2D): Tensor3D;
  /** The gradients themselves, a few examples at a time: `[b, m, d_out, d_in]`; the caller disposes each. */
  gradients(): Iterable<Tensor4D>;
  /**
   * The rows of a layer applied once an example: `a [b, n, d_in]` and `g [b, pairs, d_out]`, owned by the samples;
   * null where weights are shared.
   */
  rows(): { a: Tensor3D; g: Tensor3D } | null;
  /** Its rows in the coordinates of their places; null where there is one place an example, or A is no sum of `a aᵀ` (SUA). */
  places(): PlaceSpace | null;
  /**
   * All rows of a (one an example and place, at most `limit`), with `A = scale · aᵀa`; null where there are more.
   * The caller disposes `rows`. For the Woodbury form of an inverse.
   */
  inputRows(limit: number): { rows: Tensor3D; scale: number } | null;
  /** The same of g, with `G = scale · gᵀg`. */
  gradRows(limit: number): { rows: Tensor3D; scale: number } | null;
}

/** Patches and per-example gradients are formed for as many examples at a time as fit in this. */
export const CHUNK_BUDGET_BYTES = 64 * 2 ** 20;

/** The batch's own mean gradient `(1/n) Σ_i P_i [b, d_out, d_in]`, of one backprop. */
export function meanGradient(samples: Samples): Tensor3D {
  const { groups, pairs, examples } = samples;
  return tidy(() => samples.combine(fill([groups, pairs], 1 / examples)));
}
