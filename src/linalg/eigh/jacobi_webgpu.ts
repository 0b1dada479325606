/**
 * The iterations of the eigensolver: launches jacobi.wgsl, rotate.wgsl and convergence.wgsl.
 *
 * @module
 */
import { defineKernel, type Kernel } from "@/engine/mod.ts";
import { type Member, type PaddedBatch, stateSource } from "../padded/padded_webgpu.ts";
import tileProduct from "../padded/tile_product.wgsl" with { type: "text" };
import convergenceSource from "./convergence.wgsl" with { type: "text" };
import jacobiSource from "./jacobi.wgsl" with { type: "text" };
import rotateSource from "./rotate.wgsl" with { type: "text" };

/** A cold start takes up to ten at 1024; what needs more is not converging. */
const MAX_BLOCK_SWEEPS = 15;

/** One matrix in one workgroup: the sweeps of a 64 x 64 with a spectrum of 12 decades, twice. */
const MAX_SMALL_SWEEPS = 30;

/** `‖offdiag(A)‖_F/‖M‖_F` at which a matrix is settled; grows with the rounding of longer sums. */
function tolerance(side: number): number {
  return 2e-6 * Math.max(1, side / 512);
}

/** Rows of a block: small ones keep a device busy where there are few pairs. */
function blockRows(side: number): number {
  return side <= 256 ? 16 : 32;
}

/** Diagonalizes matrices of side ≤ 64, a workgroup each. @param q receives the eigenvectors in its columns. */
export function recordSmallJacobi<M extends Member>(
  batch: PaddedBatch<M>,
  a: GPUBuffer,
  q: GPUBuffer,
): void {
  const { side, count } = batch;
  recordConvergence(batch, a, { pivots: 1, tiles: 0, isFirst: true });
  batch.recording.dispatch(jacobi(batch, side), {
    buffers: [a, q, batch.scratch([count, side, side]), batch.stateBuffer],
    uniforms: { u32: [side, 2, 0, MAX_SMALL_SWEEPS] },
    workgroups: [1, 1, count],
  });
}

/**
 * Diagonalizes matrices of any side that is a multiple of 64, in place.
 * @param vTransposed a basis in its rows, which all rotations are applied to.
 */
export function recordBlockSweeps<M extends Member>(
  batch: PaddedBatch<M>,
  a: GPUBuffer,
  vTransposed: GPUBuffer,
): void {
  const { recording, side, count, stateBuffer, engine } = batch;
  const rows = blockRows(side);
  const blocks = side / rows;
  const pairs = blocks / 2;
  const tiles = pairs * (pairs + 1) / 2 + pairs * pairs;
  const q = batch.scratch([count, pairs, 2 * rows, 2 * rows]);
  const qScratch = batch.scratch([count, pairs, 2 * rows, 2 * rows]);
  const counts = engine.indirectCounts;

  for (let sweep = 0; sweep < MAX_BLOCK_SWEEPS; sweep++) {
    recordConvergence(batch, a, { pivots: pairs, tiles, isFirst: sweep === 0 });
    for (let round = 0; round < blocks - 1; round++) {
      recording.dispatch(jacobi(batch, 2 * rows), {
        buffers: [a, q, qScratch, stateBuffer],
        uniforms: { u32: [side, blocks, round, 1] },
        workgroups: { buffer: counts, offset: 0 },
      });
      recording.dispatch(rotate(2 * rows), {
        buffers: [a, vTransposed, q, stateBuffer],
        uniforms: { u32: [side / 4, pairs, round] },
        workgroups: { buffer: counts, offset: 12 },
      });
    }
  }
}

const [offDiagonalRows, convergence] = ["off_diagonal_rows", "convergence"].map((entryPoint) =>
  defineKernel({
    label: `linalg.${entryPoint}`,
    source: stateSource + convergenceSource,
    entryPoint,
    bindings: ["read", "read-write", "read-write", "read-write"],
  })
);

function recordConvergence<M extends Member>(
  batch: PaddedBatch<M>,
  a: GPUBuffer,
  { pivots, tiles, isFirst }: { pivots: number; tiles: number; isFirst: boolean },
): void {
  const { recording, side, count, stateBuffer, engine } = batch;
  const buffers = [a, batch.scratch([count, side, 2]), stateBuffer, engine.indirectCounts];
  const uniforms = {
    u32: [side, pivots, tiles, count, Number(isFirst)],
    f32: [tolerance(side)],
  };
  recording.dispatch(offDiagonalRows, { buffers, uniforms, workgroups: [side, 1, count] });
  recording.dispatch(convergence, { buffers, uniforms, workgroups: [1, 1, count] });
}

const jacobiVariants = new Map<string, Kernel>();

function jacobi<M extends Member>({ engine }: PaddedBatch<M>, side: number): Kernel {
  const bytes = 4 * (side * (side + 1) / 2 + side * side) + // the triangle and Q
    side / 2 * (16 + 8) + 4 * side + 8; // rotations, pairs, rank, two words
  const sharesQ = bytes <= engine.device.limits.maxComputeWorkgroupStorageSize;
  const key = `${side},${sharesQ}`;
  let kernel = jacobiVariants.get(key);
  if (kernel === undefined) {
    kernel = defineKernel({
      label: "linalg.jacobi",
      source: stateSource + jacobiSource,
      entryPoint: "jacobi",
      constants: {
        M: side,
        LANES: Math.min(128, side * side / 8),
        SHARE_Q: Number(sharesQ),
        SHARED_Q_CELLS: sharesQ ? side * side : 1,
      },
      bindings: ["read", "read-write", "read-write", "read-write"],
    });
    jacobiVariants.set(key, kernel);
  }
  return kernel;
}

const rotateVariants = new Map<number, Kernel>();

function rotate(tile: number): Kernel {
  let kernel = rotateVariants.get(tile);
  if (kernel === undefined) {
    kernel = defineKernel({
      label: "linalg.rotate",
      source: stateSource + tileProduct + rotateSource,
      entryPoint: "rotate",
      constants: { QUADS: tile / 4 },
      bindings: ["read-write", "read-write", "read", "read"],
    });
    rotateVariants.set(tile, kernel);
  }
  return kernel;
}
