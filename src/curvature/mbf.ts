/**
 * Mini-block Fisher: F's diagonal blocks of one output neuron (dense) or one filter (conv2d), exactly.
 *
 *   dense, per_neuron: M_o = E[g_o² a aᵀ],  u_o = (M_o + λI)⁻¹ v_o      conv2d: M_oc = E[p pᵀ], p = P[o, c, :]
 *   dense, averaged:   M = mean_o M_o = E[(|g|²/d_out) a aᵀ], one block for all rows
 *
 * A dense block is as wide as the layer and there is one a neuron: with fewer examples than width it is kept as its N rows
 * (Woodbury), otherwise whole, if it fits.
 *
 * Source: Bahamou, Goldfarb & Ren 2022, arXiv:2202.04124.
 *
 * @module
 */
import {
  add,
  concat,
  dispose,
  div,
  expandDims,
  matMul,
  mul,
  reshape,
  slice,
  square,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor3D,
  type Tensor4D,
  tidy,
  tile,
  transpose,
} from "@tensorflow/tfjs-core";
import { CurvdError } from "@/errors.ts";
import { gram, type Report, type Stack } from "@/linalg/mod.ts";
import { Conv2dLayer, type KroneckerLayer, type Layer } from "./layer/mod.ts";
import type { Context, LayerMethod, MethodOptions, Preconditioner } from "./method.ts";
import { CHUNK_BUDGET_BYTES, type Filters, type Samples } from "./samples.ts";

/** How a gradient's rows meet the blocks. */
export interface BlockRows {
  /** `V [b, d_out, d_in]` as rows `[blocks, r, d]`, r right-hand sides a block. */
  split(V: Tensor3D): Tensor3D;
  /** The reverse. */
  join(U: Tensor3D): Tensor3D;
}

/** A stack of blocks, and how a gradient's rows meet them. */
export interface MiniBlocks extends BlockRows {
  /** `[blocks, d, d]`. */
  readonly M: Stack;
  /** Second moments of the biases `[b, d_out, 1]`, each a block of its own; null where they are within M. */
  readonly biasMoments: Tensor3D | null;
}

/** What the rows of the blocks follow from. */
export interface BlockSizes {
  readonly groups: number;
  readonly dIn: number;
  readonly dOut: number;
  readonly filters: Filters | null;
}

/** All blocks of a layer may take this much; a dense layer of 1024 × 1024 would need 4 GiB. */
export const BLOCKS_BUDGET_BYTES = 2 ** 30;

export const mbf: LayerMethod<Samples, MiniBlocks> = {
  observe(samples, { options }) {
    return Promise.resolve(miniBlocks(samples, options));
  },

  async refresh(blocks, { name, linalg, options }) {
    const inverses = await Promise.all(
      options.dampings.map((damping) =>
        linalg.choleskyInverse([{ name: `${name}.A`, matrix: blocks.M, shift: damping }])
      ),
    );
    const { M, biasMoments } = blocks;
    const [[{ inverse: first, reports }]] = inverses;
    return {
      reports: { A: reports },
      forms: { M_inv: first, ...(biasMoments ? { bias_moments: biasMoments } : {}) },
      apply: (V) =>
        inverses.map(([{ inverse }], i) =>
          solveBlocks(blocks, { M_inv: inverse, biasMoments }, options.dampings[i], V)
        ),
      multiply: (V) => throughBlocks(blocks, V, M, biasMoments, mul),
      dispose: () => dispose(inverses.map(([{ inverse }]) => inverse)),
    };
  },

  revive({ M, biasMoments }, layer, { mbfBlocks }) {
    const rows = blockRows(blockSizes(layer), mbfBlocks);
    return { M, biasMoments: biasMoments ?? null, ...rows } as MiniBlocks;
  },

  release({ M, biasMoments }) {
    dispose([M, ...(biasMoments ? [biasMoments] : [])]);
  },

  direct: woodburyBlocks,
};

/** `U = (M + λI)⁻¹ V` from the blocks' inverses; the caller disposes it. */
export function solveBlocks(
  rows: BlockRows,
  { M_inv, biasMoments }: { M_inv: Stack; biasMoments: Tensor3D | null },
  damping: number,
  V: Tensor3D,
): Tensor3D {
  return throughBlocks(rows, V, M_inv, biasMoments, (v, moments) => div(v, add(moments, damping)));
}

/** Each block times its rows of V, and each bias by its own moment. */
function throughBlocks(
  { split, join }: BlockRows,
  V: Tensor3D,
  X: Stack,
  moments: Tensor3D | null,
  biases: (v: Tensor3D, moments: Tensor3D) => Tensor3D,
): Tensor3D {
  return tidy(() => {
    const U = join(matMul(split(V), X));
    if (!moments) return U;
    const last = slice(V, [0, 0, V.shape[2] - 1], [-1, -1, 1]);
    return concat([U, biases(last, moments)], 2);
  });
}

/** The sizes of a dense layer or a convolution. */
export function blockSizes(layer: Layer): BlockSizes {
  const { groups, dIn, dOut } = layer as KroneckerLayer;
  return { groups, dIn, dOut, filters: layer instanceof Conv2dLayer ? layer.rowFilters : null };
}

/** The rows of a layer's blocks. */
export function blockRows(
  { groups: b, dIn, dOut, filters }: BlockSizes,
  mbfBlocks: MethodOptions["mbfBlocks"],
): BlockRows {
  if (filters) {
    const { channels, features } = channelsOf(dIn, filters);
    const { taps, order } = filters;
    return {
      split: (V) => {
        const rows = byChannel(withoutBias(V, filters), b * dOut, filters);
        return reshape(rows, [b * dOut * channels, 1, taps]);
      },
      join: (U) => {
        const perFilter = reshape(U, [b * dOut, channels, taps]);
        const rows = order === "chw" ? perFilter : transpose(perFilter, [0, 2, 1]);
        return reshape(rows, [b, dOut, features]);
      },
    };
  }
  return mbfBlocks === "averaged"
    ? { split: (V) => V.clone(), join: (U) => U.clone() }
    : { split: (V) => reshape(V, [dOut, 1, dIn]), join: (U) => reshape(U, [1, dOut, dIn]) };
}

function channelsOf(dIn: number, { taps, bias }: Filters): { channels: number; features: number } {
  const features = dIn - Number(bias);
  return { channels: features / taps, features };
}

/** `[…, features]` as `[…, channels, taps]`, of `rows` leading rows. */
function byChannel(x: Tensor3D, rows: number, { taps, order }: Filters): Tensor3D {
  return order === "chw"
    ? reshape(x, [rows, -1, taps])
    : transpose(reshape(x, [rows, taps, -1]), [0, 2, 1]);
}

function withoutBias(x: Tensor3D, { bias }: Filters): Tensor3D {
  return bias ? slice(x, [0, 0, 0], [x.shape[0], x.shape[1], x.shape[2] - 1]) : x;
}

/** The blocks of a batch; the caller disposes `M` and `biasMoments`. */
export function miniBlocks(
  samples: Samples,
  { mbfBlocks }: Pick<MethodOptions, "mbfBlocks">,
): MiniBlocks {
  if (samples.filters) return filterBlocks(samples, samples.filters);
  return mbfBlocks === "averaged" ? averagedBlock(samples) : neuronBlocks(samples);
}

/** `M_o = w Σ_i P_i[o,:]ᵀ P_i[o,:] [d_out, d_in, d_in]`. */
function neuronBlocks(samples: Samples): MiniBlocks {
  const { dIn, dOut, layer } = samples;
  expectToFit(layer, 4 * dOut * dIn * dIn);
  const rows = samples.rows();
  const M = rows ? rowBlocks(samples, rows) : accumulate(samples, (P) => {
    const rows = reshape(transpose(P, [0, 2, 1, 3]), [dOut, -1, dIn]) as Tensor3D;
    return gram(rows, samples.weight);
  });
  return { M, biasMoments: null, ...blockRows(samples, "per_neuron") };
}

/** The same of a layer applied once an example: `M_o = w X_oᵀX_o`, `X_o = diag(g_o) a`, some neurons at a time. */
function rowBlocks(
  { pairs, examples, dIn, dOut, weight }: Samples,
  { a, g }: { a: Tensor3D; g: Tensor3D },
): Stack {
  const atOnce = Math.max(1, Math.floor(CHUNK_BUDGET_BYTES / (4 * pairs * dIn)));
  return tidy(() => {
    const paired: Tensor3D = tile(a, [1, pairs / examples, 1]);
    const byNeuron = transpose(reshape(g, [pairs, dOut])); // [d_out, pairs]
    const parts: Stack[] = [];
    for (let from = 0; from < dOut; from += atOnce) {
      const count = Math.min(atOnce, dOut - from);
      parts.push(tidy(() => {
        const scale = reshape(slice(byNeuron, [from, 0], [count, pairs]), [count, pairs, 1]);
        return gram(mul<Tensor3D>(scale, paired), weight);
      }));
    }
    return parts.length === 1 ? parts[0] : concat(parts, 0);
  });
}

/** `M = (1/d_out) w Σ_i P_iᵀ P_i [1, d_in, d_in]`. */
function averagedBlock(samples: Samples): MiniBlocks {
  const { inputs, grads, trace } = samples.partialTraces("exact");
  const M = tidy(() => div<Stack>(inputs, samples.dOut));
  dispose([inputs, grads, trace]);
  return { M, biasMoments: null, ...blockRows(samples, "averaged") };
}

/** `M_oc = w Σ_i p pᵀ [b·d_out·c, kh·kw, kh·kw]`; a bias is a block of one. */
function filterBlocks(samples: Samples, filters: Filters): MiniBlocks {
  const { groups: b, dIn, dOut, layer } = samples;
  const { taps, bias } = filters;
  const { channels, features } = channelsOf(dIn, filters);
  const blocks = b * dOut * channels;
  expectToFit(layer, 4 * blocks * taps * taps);
  const M = accumulate(samples, (P) => {
    const m = P.shape[1];
    const gradients = reshape(P, [b * m, dOut, dIn]) as Tensor3D;
    const rows = byChannel(withoutBias(gradients, filters), b * m * dOut, filters);
    const perBlock = transpose(reshape(rows, [b, m, dOut * channels, taps]), [0, 2, 1, 3]);
    return gram(reshape(perBlock, [blocks, m, taps]), samples.weight);
  });
  const biasMoments = bias
    ? accumulate(samples, (P) => {
      const last = slice(P, [0, 0, 0, features], [-1, -1, -1, 1]);
      return mul(sum<Tensor3D>(square(last), 1), samples.weight);
    })
    : null;
  return { M, biasMoments, ...blockRows(samples, "per_neuron") };
}

/**
 * Per-neuron blocks as their rows, `X_o = diag(g_o) a [N, d_in]`, where N is less than half the width:
 * `(s X_oᵀX_o + λI)⁻¹ v = (v − X_oᵀ (X_o X_oᵀ + (λ/s) I)⁻¹ X_o v)/λ` and `X_o X_oᵀ = (a aᵀ) ∘ (g_o g_oᵀ)`.
 */
async function woodburyBlocks(
  samples: Samples,
  { name, linalg, options }: Context,
): Promise<Preconditioner | null> {
  const rows = samples.rows();
  const { pairs, examples, dIn, dOut, weight } = samples;
  if (
    !rows || samples.filters || options.mbfBlocks === "averaged" || 2 * pairs > dIn ||
    options.dampings.includes(0)
  ) return null;
  expectToFit(samples.layer, 4 * dOut * pairs * pairs);
  const { a, g } = tidy(() => ({
    a: reshape(tile(rows.a, [1, pairs / examples, 1]), [pairs, dIn]) as Tensor,
    g: transpose(reshape(rows.g, [pairs, dOut])) as Tensor, // [d_out, N]
  }));
  const inner = tidy(() => {
    const aa = gram(reshape(transpose(a), [1, dIn, pairs]), 1);
    return mul<Stack>(aa, mul(expandDims<Tensor3D>(g, 2), expandDims<Tensor3D>(g, 1)));
  });
  const inverses = await Promise.all(
    options.dampings.map((damping) =>
      linalg.choleskyInverse([{ name: `${name}.A`, matrix: inner, shift: damping / weight }])
    ),
  );
  dispose(inner);
  /** `X_o v_o` of every neuron, `[d_out, N]`. */
  const toRows = (V: Tensor3D): Tensor =>
    mul(matMul(reshape(V, [dOut, dIn]), a as Tensor1D, false, true), g);
  /** `X_oᵀ y_o`. */
  const fromRows = (y: Tensor): Tensor3D =>
    reshape(matMul(mul(y, g), a as Tensor1D), [1, dOut, dIn]);
  return {
    reports: { A: inverses[0][0].reports satisfies Report[] },
    forms: {},
    apply: (V) =>
      options.dampings.map((damping, i) =>
        tidy(() => {
          const [{ inverse }] = inverses[i];
          const y = matMul(expandDims<Tensor3D>(toRows(V), 1), inverse); // [d_out, 1, N]
          return div(sub(V, fromRows(reshape(y, [dOut, pairs]))), damping);
        })
      ),
    multiply: (V) => tidy(() => mul(fromRows(toRows(V)), weight)),
    dispose: () => dispose([a, g, ...inverses.map(([{ inverse }]) => inverse)]),
  };
}

/** Sums a term over the batch's gradients, a few examples at a time. */
function accumulate(samples: Samples, term: (P: Tensor4D) => Tensor3D): Tensor3D {
  let total: Tensor3D | null = null;
  for (const P of samples.gradients()) {
    const before: Tensor3D | null = total;
    total = tidy(() => before ? add(before, term(P)) : term(P));
    dispose([P, ...(before ? [before] : [])]);
  }
  return total!;
}

function expectToFit(layer: string, bytes: number): void {
  if (bytes <= BLOCKS_BUDGET_BYTES) return;
  throw new CurvdError(
    "too-large-to-fit",
    `Layer "${layer}": the blocks of mbf need ${Math.ceil(bytes / 2 ** 20)} MiB, ` +
      `${BLOCKS_BUDGET_BYTES / 2 ** 20} MiB are allowed`,
    {
      layer,
      value: bytes,
      limit: BLOCKS_BUDGET_BYTES,
      suggestion: 'mbf_blocks: "averaged", or fewer than d_in/2 examples with a damping above 0',
    },
  );
}
