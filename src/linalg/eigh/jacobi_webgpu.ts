/**
 * The iterations of the eigensolver: launches jacobi.wgsl, rotate.wgsl and convergence.wgsl.
 *
 * @module
 */
import { defineKernel, type Kernel } from "@/engine/mod.ts";
import { type Member, type PaddedBatch, stateSource } from "../padded/padded_webgpu.ts";
import tileProduct from "../padded/tile_product.wgsl" with { type: "text" };
import { withReductions } from "../reduce/reduce_webgpu.ts";
import convergenceSource from "./convergence.wgsl" with { type: "text" };
import firstOrderSource from "./first_order.wgsl" with { type: "text" };
import gapSource from "./gap.wgsl" with { type: "text" };
import jacobiSource from "./jacobi.wgsl" with { type: "text" };
import rotateSource from "./rotate.wgsl" with { type: "text" };

/** One matrix in one workgroup: the sweeps of a 64 x 64 with a spectrum of 12 decades, twice. */
const MAX_SMALL_SWEEPS = 30;

/** A series of sweeps; what needs more than the cap is not converging. */
export interface Series {
  readonly maxSweeps: number;
  /** What may be left off the diagonal of `A/‖M‖_F`; see convergence.wgsl. */
  readonly tolerance: number;
  /** Entries up to this part of their gap are left to {@linkcode recordFirstOrder}. */
  readonly correctable: number;
  /** The matrices come fresh: their norm is taken. */
  readonly isFirst: boolean;
}

/**
 * Diagonalizes matrices of side ≤ 64, a workgroup each. @param q receives the eigenvectors in its
 * columns.
 */
export function recordSmallJacobi<M extends Member>(
  batch: PaddedBatch<M>,
  a: GPUBuffer,
  q: GPUBuffer,
): void {
  const { side, count } = batch;
  recordConvergence(batch, a, batch.scratch([count, side, 4]), {
    pivots: 1,
    tiles: 0,
    start: 2,
    tolerance: 0,
    correctable: 0,
  });
  batch.recording.dispatch(jacobi(batch, side), {
    buffers: [a, q, batch.scratch([count, side, side]), batch.stateBuffer],
    uniforms: { u32: [side, 2, 0, MAX_SMALL_SWEEPS] },
    workgroups: [1, 1, count],
  });
}

/**
 * Nearly diagonalizes matrices of any side that is a multiple of 64, in place.
 * @param vTransposed a basis in its rows, which all rotations are applied to.
 */
export function recordBlockSweeps<M extends Member>(
  batch: PaddedBatch<M>,
  a: GPUBuffer,
  vTransposed: GPUBuffer,
  { maxSweeps, tolerance, correctable, isFirst }: Series,
): void {
  const { recording, side, count, stateBuffer, engine } = batch;
  const rows = side <= engine.tuning.narrowBlocksUpTo ? 16 : 32;
  const blocks = side / rows;
  const pairs = blocks / 2;
  const tiles = pairs * (pairs + 1) / 2 + pairs * pairs;
  const q = batch.scratch([count, pairs, 2 * rows, 2 * rows]);
  const qScratch = batch.scratch([count, pairs, 2 * rows, 2 * rows]);
  const rowSquares = batch.scratch([count, side, 4]);
  const counts = engine.indirectCounts;

  for (let sweep = 0; sweep < maxSweeps; sweep++) {
    const start = sweep > 0 ? 0 : isFirst ? 2 : 1;
    const decision = { pivots: pairs, tiles, start, tolerance, correctable };
    recordConvergence(batch, a, rowSquares, decision);
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

const firstOrder = defineKernel({
  label: "linalg.first-order",
  source: gapSource + firstOrderSource,
  entryPoint: "first_order",
  bindings: ["read", "read-write"],
});

/** `W = I + E`: the eigenvectors of a nearly diagonal A in its columns, to first order. */
export function recordFirstOrder<M extends Member>(
  { recording, side, count }: PaddedBatch<M>,
  a: GPUBuffer,
  w: GPUBuffer,
  { correctable }: Pick<Series, "correctable">,
): void {
  const groups = Math.ceil(side / 16);
  recording.dispatch(firstOrder, {
    buffers: [a, w],
    uniforms: { u32: [side], f32: [correctable] },
    workgroups: [groups, groups, count],
  });
}

const [offDiagonalRows, convergence] = ["off_diagonal_rows", "convergence"].map((entryPoint) =>
  defineKernel({
    label: `linalg.${entryPoint}`,
    ...withReductions(stateSource + gapSource + convergenceSource),
    entryPoint,
    bindings: ["read", "read-write", "read-write", "read-write"],
  })
);

function recordConvergence<M extends Member>(
  batch: PaddedBatch<M>,
  a: GPUBuffer,
  rowSquares: GPUBuffer,
  { pivots, tiles, start, tolerance, correctable }: {
    pivots: number;
    tiles: number;
    start: number;
    tolerance: number;
    correctable: number;
  },
): void {
  const { recording, side, count, stateBuffer, engine } = batch;
  const buffers = [a, rowSquares, stateBuffer, engine.indirectCounts];
  const uniforms = { u32: [side, pivots, tiles, count, start], f32: [tolerance, correctable] };
  recording.dispatch(offDiagonalRows, { buffers, uniforms, workgroups: [side, 1, count] });
  recording.dispatch(convergence, { buffers, uniforms, workgroups: [1, 1, count] });
}

const jacobiVariants = new Map<string, Kernel>();

function jacobi<M extends Member>({ engine }: PaddedBatch<M>, side: number): Kernel {
  const bytes = 4 * (side * (side + 1) / 2 + side * side) + // the triangle and Q
    side / 2 * (16 + 8) + 4 * side + 8; // rotations, pairs, rank, two words
  const sharesQ = bytes <= engine.device.limits.maxComputeWorkgroupStorageSize;
  const lanes = Math.min(engine.tuning.jacobiLanes, side * side / 8);
  const key = `${side},${sharesQ},${lanes}`;
  let kernel = jacobiVariants.get(key);
  if (kernel === undefined) {
    kernel = defineKernel({
      label: "linalg.jacobi",
      source: stateSource + jacobiSource,
      entryPoint: "jacobi",
      constants: {
        M: side,
        LANES: lanes,
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
