/**
 * The iterations of the eigensolver: launches jacobi.wgsl, rotate.wgsl and convergence.wgsl.
 *
 * @module
 */
import { defineKernel, type Kernel, type WebGpuEngine } from "@/engine/mod.ts";
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
  /** Only pairs of neighbouring blocks are met, and each is diagonalized further. @default false */
  readonly onlyNeighbours?: boolean;
  /** What may be left off the diagonal of `A/‖M‖_F`; see convergence.wgsl. */
  readonly tolerance: number;
  /** Entries up to this part of their gap are left to {@linkcode BlockJacobi.correction}. */
  readonly correctable: number;
  /** And as long as no row of E, its angles, has a norm above this. */
  readonly maxTurn: number;
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
  const decision = { pivots: 1, tiles: 0, start: 2, tolerance: 0, correctable: 0, maxTurn: 0 };
  recordConvergence(batch, a, batch.scratch([count, side, 4]), decision);
  const scratch = batch.scratch([count, side, side]);
  recordJacobi(batch, { a, q, scratch, states: batch.stateBuffer, side, count });
}

/** Takes the norms of a batch's matrices. */
export function recordNorm<M extends Member>(batch: PaddedBatch<M>, a: GPUBuffer): void {
  const rowSquares = batch.scratch([batch.count, batch.side, 4]);
  const decision = { pivots: 0, tiles: 0, start: 2, ...SETTLED };
  recordConvergence(batch, a, rowSquares, decision);
}

/** Nothing is above it: no sweep is asked for. */
const SETTLED = { tolerance: 1e18, correctable: 0, maxTurn: 1e18 };

/** As {@linkcode recordSmallJacobi}, of `count` matrices that are no members of the batch. */
export function recordJacobi(
  { engine, recording }: Pick<PaddedBatch<Member>, "engine" | "recording">,
  { a, q, scratch, states, side, count }: {
    /** `[count, side, side]`, all three. */
    a: GPUBuffer;
    q: GPUBuffer;
    scratch: GPUBuffer;
    /** `MatrixState [count]` with the norm that small entries are measured by. */
    states: GPUBuffer;
    side: number;
    count: number;
  },
): void {
  recording.dispatch(jacobi(engine, side), {
    buffers: [a, q, scratch, states],
    uniforms: { u32: [side, 2, 0, MAX_SMALL_SWEEPS] },
    workgroups: [1, 1, count],
  });
}

const firstOrder = defineKernel({
  label: "linalg.first-order",
  source: gapSource + firstOrderSource,
  entryPoint: "first_order",
  bindings: ["read", "read", "read-write"],
});

/** Sweeps inside a pivot of neighbours: what is large against its gap is mostly there. */
const NEIGHBOURS_SWEEPS = 2;

/** Nearly diagonalizes matrices of any side that is a multiple of 64, in place. */
export class BlockJacobi<M extends Member> {
  readonly #rows: number;
  readonly #q: GPUBuffer;
  readonly #qScratch: GPUBuffer;
  readonly #rowSquares: GPUBuffer;
  #isFresh = true;

  /**
   * @param a fresh matrices: their norm is taken before the first sweep.
   * @param vTransposed a basis in its rows, which all rotations are applied to.
   */
  constructor(
    readonly batch: PaddedBatch<M>,
    readonly a: GPUBuffer,
    readonly vTransposed: GPUBuffer,
  ) {
    const { side, count, engine } = batch;
    const rows = side <= engine.tuning.narrowBlocksUpTo ? 16 : 32;
    this.#rows = rows;
    this.#q = batch.scratch([count, side / (2 * rows), 2 * rows, 2 * rows]);
    this.#qScratch = batch.scratch([count, side / (2 * rows), 2 * rows, 2 * rows]);
    this.#rowSquares = batch.scratch([count, side, 4]);
  }

  /** Sweeps until a matrix is settled. */
  sweep({ maxSweeps, onlyNeighbours = false, ...series }: Series): void {
    const blocks = this.batch.side / this.#rows;
    const pivots = blocks / 2;
    const tiles = pivots * (pivots + 1) / 2 + pivots * pivots;
    const [from, to] = onlyNeighbours ? [blocks - 1, blocks + 1] : [0, blocks - 1];
    for (let sweep = 0; sweep < maxSweeps; sweep++) {
      const start = sweep > 0 ? 0 : this.#isFresh ? 2 : 1;
      this.#isFresh = false;
      const decision = { ...series, pivots, tiles, start };
      recordConvergence(this.batch, this.a, this.#rowSquares, decision);
      for (let round = from; round < to; round++) {
        this.#recordRound(round, onlyNeighbours ? NEIGHBOURS_SWEEPS : 1);
      }
    }
  }

  /** `W = I + E`: the eigenvectors of a nearly diagonal A in its columns, to first order. */
  correction(w: GPUBuffer, series: Series): void {
    const { recording, side, count } = this.batch;
    if (series.onlyNeighbours) { // else the check that ended the sweeps has seen the rows
      const decision = { ...series, pivots: 0, tiles: 0, start: 1 };
      recordOffDiagonalRows(this.batch, this.a, this.#rowSquares, decision);
    }
    const groups = Math.ceil(side / 16);
    recording.dispatch(firstOrder, {
      buffers: [this.a, this.#rowSquares, w],
      uniforms: { u32: [side], f32: [series.correctable] },
      workgroups: [groups, groups, count],
    });
  }

  #recordRound(round: number, maxSweeps: number): void {
    const { batch, a, vTransposed } = this;
    const { recording, side, stateBuffer, engine } = batch;
    const rows = this.#rows;
    recording.dispatch(jacobi(engine, 2 * rows), {
      buffers: [a, this.#q, this.#qScratch, stateBuffer],
      uniforms: { u32: [side, side / rows, round, maxSweeps] },
      workgroups: { buffer: engine.indirectCounts, offset: 0 },
    });
    recording.dispatch(rotate(2 * rows), {
      buffers: [a, vTransposed, this.#q, stateBuffer],
      uniforms: { u32: [side / 4, side / (2 * rows), round] },
      workgroups: { buffer: engine.indirectCounts, offset: 12 },
    });
  }
}

const [offDiagonalRows, convergence] = ["off_diagonal_rows", "convergence"].map((entryPoint) =>
  defineKernel({
    label: `linalg.${entryPoint}`,
    ...withReductions(stateSource + gapSource + convergenceSource),
    entryPoint,
    bindings: ["read", "read-write", "read-write", "read-write"],
  })
);

/** Of convergence.wgsl. */
interface Decision extends Pick<Series, "tolerance" | "correctable" | "maxTurn"> {
  readonly pivots: number;
  readonly tiles: number;
  readonly start: number;
}

function recordConvergence<M extends Member>(
  batch: PaddedBatch<M>,
  a: GPUBuffer,
  rowSquares: GPUBuffer,
  decision: Decision,
): void {
  const step = recordOffDiagonalRows(batch, a, rowSquares, decision);
  batch.recording.dispatch(convergence, { ...step, workgroups: [1, 1, batch.count] });
}

/** @returns what the kernel that judges the rows is called with. */
function recordOffDiagonalRows<M extends Member>(
  { recording, side, count, stateBuffer, engine }: PaddedBatch<M>,
  a: GPUBuffer,
  rowSquares: GPUBuffer,
  { pivots, tiles, start, tolerance, correctable, maxTurn }: Decision,
) {
  const step = {
    buffers: [a, rowSquares, stateBuffer, engine.indirectCounts],
    uniforms: {
      u32: [side, pivots, tiles, count, start],
      f32: [tolerance, correctable, maxTurn],
    },
  };
  recording.dispatch(offDiagonalRows, { ...step, workgroups: [side, 1, count] });
  return step;
}

const jacobiVariants = new Map<string, Kernel>();

function jacobi(engine: WebGpuEngine, side: number): Kernel {
  const bytes = 4 * (side * (side + 1) / 2 + side * side) + // the triangle and Q
    side / 2 * (16 + 8) + side / 2 * (side / 2 + 1) * 2 + // rotations, pairs, places
    4 * side + 8; // rank, two words
  const sharesQ = bytes <= engine.device.limits.maxComputeWorkgroupStorageSize;
  const lanes = Math.min(engine.tuning.jacobiLanes, side * side / 4);
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
