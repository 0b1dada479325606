/**
 * Eigenvalues and eigenvectors of symmetric tridiagonal matrices on WebGPU.
 *
 *   T = diag(T₁, T₂) + |β| u uᵀ,   Tᵢ = Zᵢ Dᵢ Zᵢᵀ,   T = Z (D + ρ z zᵀ) Zᵀ = (Z U) Λ (Z U)ᵀ
 *
 * Leaves of 32 are solved by Jacobi; then blocks merge two by two, all merges of a level at once.
 * The host decides nothing: how many poles a merge moves is known on the device alone.
 *
 * Source: Cuppen 1981; Gu and Eisenstat 1995 (LAPACK's stedc).
 * Departs: all in float32, and products take no notice of vectors that were left as they are.
 *
 * @module
 */
import { defineKernel } from "@/engine/mod.ts";
import { recordJacobi } from "../eigh/jacobi_webgpu.ts";
import { BLOCK, type Member, type PaddedBatch, stateSource } from "../padded/padded_webgpu.ts";
import { STATE_WORDS } from "../padded/state_webgpu.ts";
import tileProduct from "../padded/tile_product.wgsl" with { type: "text" };
import { withReductions } from "../reduce/reduce_webgpu.ts";
import coupleSource from "./couple.wgsl" with { type: "text" };
import deflateSource from "./deflate.wgsl" with { type: "text" };
import leafSpectrumSource from "./leaf_spectrum.wgsl" with { type: "text" };
import mergeSource from "./merge.wgsl" with { type: "text" };
import mergeProductSource from "./merge_product.wgsl" with { type: "text" };
import rankOneVectorsSource from "./rank_one_vectors.wgsl" with { type: "text" };
import secularSource from "./secular.wgsl" with { type: "text" };
import tearSource from "./tear.wgsl" with { type: "text" };

/** The side of a leaf; a padded side is a multiple of two of them. */
export const LEAF = 32;

/** Lanes of the kernels that give a lane a column, and columns of those that give a workgroup 16. */
const LANES = 64, COLUMNS = 16;

const tear = defineKernel({
  label: "linalg.tear",
  source: stateSource + tearSource,
  entryPoint: "tear",
  bindings: ["read", "read", "read-write", "read-write"],
});

const leafSpectrum = defineKernel({
  label: "linalg.leaf-spectrum",
  source: leafSpectrumSource,
  entryPoint: "leaf_spectrum",
  bindings: ["read", "read", "read-write", "read-write"],
});

const couple = defineKernel({
  label: "linalg.couple",
  source: mergeSource + coupleSource,
  entryPoint: "couple",
  bindings: ["read", "read", "read", "read-write"],
});

const deflate = defineKernel({
  label: "linalg.deflate",
  ...withReductions(stateSource + mergeSource + deflateSource),
  entryPoint: "deflate",
  bindings: ["read", "read", "read", "read-write", "read-write", "read-write", "read-write"],
});

const [secularRoots, exactWeights] = ["secular_roots", "exact_weights"].map((entryPoint) =>
  defineKernel({
    label: `linalg.${entryPoint}`,
    ...withReductions(mergeSource + secularSource),
    entryPoint,
    bindings: ["read", "read", "read", "read-write", "read-write"],
  })
);

const [rankOneVectors, rotateRows] = ["rank_one_vectors", "rotate_rows"].map((entryPoint) =>
  defineKernel({
    label: `linalg.${entryPoint}`,
    source: mergeSource + rankOneVectorsSource,
    entryPoint,
    bindings: ["read", "read", "read", "read", "read", "read-write"],
  })
);

const mergeProduct = defineKernel({
  label: "linalg.merge-product",
  source: mergeSource + tileProduct + mergeProductSource,
  entryPoint: "merge_product",
  constants: { QUADS: BLOCK / 4 },
  bindings: ["read", "read", "read-write"],
});

/**
 * Records `T = Z Λ Zᵀ`; the states have its norm.
 * @returns the array of `z` that holds Zᵀ; its rows are in no order.
 */
export function recordDivideAndConquer<M extends Member>(
  batch: PaddedBatch<M>,
  { tridiagonal, z, u }: {
    /** `[count, side, 4]`: diagonal and the entry below it. */
    tridiagonal: GPUBuffer;
    /** `[count, side, side]`, as `u`: two places for Zᵀ. */
    z: readonly [GPUBuffer, GPUBuffer];
    u: GPUBuffer;
  },
): GPUBuffer {
  const { recording, side, count } = batch;
  let [old, next] = z;
  const values = recordLeaves(batch, tridiagonal, old);

  const sorted = batch.scratch([count, side, 4]);
  const poles = batch.scratch([count, side, 4]);
  const rotations = batch.scratch([count, side, 4]);
  const roots = batch.scratch([count, side, 2]);
  const weights = batch.scratch([count, side]);
  const counts = batch.scratch([count, side / (2 * LEAF), 2]);
  for (let half = LEAF; half < side; half *= 2) {
    const merges = Math.ceil(side / (2 * half));
    const size = Math.min(side, 2 * half);
    const uniforms = { u32: [side, half] };
    recording.dispatch(couple, {
      buffers: [old, values, tridiagonal, sorted],
      uniforms,
      workgroups: [Math.ceil(size / LANES), merges, count],
    });
    recording.dispatch(deflate, {
      buffers: [sorted, tridiagonal, batch.stateBuffer, poles, values, rotations, counts],
      uniforms,
      workgroups: [merges, 1, count],
    });
    recording.dispatch(secularRoots, {
      buffers: [poles, counts, tridiagonal, roots, values],
      uniforms,
      workgroups: [size, merges, count],
    });
    recording.dispatch(exactWeights, {
      buffers: [poles, counts, tridiagonal, roots, weights],
      uniforms,
      workgroups: [size, merges, count],
    });
    const vectors = { buffers: [poles, counts, roots, weights, rotations, u], uniforms };
    recording.dispatch(rankOneVectors, {
      ...vectors,
      workgroups: [size / COLUMNS, merges, count],
    });
    recording.dispatch(rotateRows, {
      ...vectors,
      workgroups: [Math.ceil(size / LANES), merges, count],
    });
    const tiles = size / BLOCK;
    recording.dispatch(mergeProduct, {
      buffers: [u, old, next],
      uniforms,
      workgroups: [tiles, tiles * merges, count],
    });
    [old, next] = [next, old];
  }
  return old;
}

/** Solves the leaves into the first blocks of `z`. @returns their eigenvalues `[count, side]`. */
function recordLeaves<M extends Member>(
  batch: PaddedBatch<M>,
  tridiagonal: GPUBuffer,
  z: GPUBuffer,
): GPUBuffer {
  const { recording, side, count, stateBuffer } = batch;
  const perMatrix = side / LEAF;
  const matrices = () => batch.scratch([count, perMatrix, LEAF, LEAF]);
  const leaves = matrices(), q = matrices();
  const states = batch.scratch([count, perMatrix, STATE_WORDS]);
  const values = batch.scratch([count, side]);
  recording.dispatch(tear, {
    buffers: [tridiagonal, stateBuffer, states, leaves],
    uniforms: { u32: [side] },
    workgroups: [perMatrix, 1, count],
  });
  recordJacobi(batch, {
    a: leaves,
    q,
    scratch: matrices(),
    states,
    side: LEAF,
    count: count * perMatrix,
  });
  recording.dispatch(leafSpectrum, {
    buffers: [leaves, q, z, values],
    uniforms: { u32: [side] },
    workgroups: [perMatrix, 1, count],
  });
  return values;
}
