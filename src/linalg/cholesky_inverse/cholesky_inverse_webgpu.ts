/**
 * Inverses and whiteners of symmetric positive definite matrices on WebGPU: blocked Cholesky that
 * carries L⁻¹.
 *
 * A right-looking Cholesky in blocks of 64 leaves the strict lower triangle free, once the trailing
 * matrix is kept in the upper one; there the same elimination builds `L⁻¹` (Gauss-Jordan). Each
 * block step is two dispatches over the whole batch: all of the work but the blocks on the diagonal
 * is products of tiles, and each of those is factored beside the products of the step before. Then
 * `M⁻¹ = L⁻ᵀ L⁻¹`. n³ multiplications and additions.
 *
 * Source: LAPACK's potrf and potri, fused; Gauss-Jordan inversion in place.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { defineKernel, type WebGpuEngine } from "@/engine/mod.ts";
import { recordMatMul } from "../matmul/matmul_webgpu.ts";
import {
  BLOCK,
  blockedSide,
  type Member,
  PaddedBatch,
  type SizeClass,
  stateSource,
} from "../padded/padded_webgpu.ts";
import tileProduct from "../padded/tile_product.wgsl" with { type: "text" };
import { recordInverseJudgement, recordProbe } from "../probe/probe_webgpu.ts";
import { recordExactResidual } from "../probe/exact_webgpu.ts";
import { smallInverse, smallSide } from "../small_inverse/small_inverse_webgpu.ts";
import blockRowSource from "./block_row.wgsl" with { type: "text" };
import pivotSource from "./pivot.wgsl" with { type: "text" };
import pivotBlockSource from "./pivot_block.wgsl" with { type: "text" };
import trailingUpdateSource from "./trailing_update.wgsl" with { type: "text" };

const QUADS = BLOCK / 4;

/** Block steps that are submitted together after the first: the device begins while the host records. */
const STEPS_A_SUBMISSION = 6;

const pivotBlock = defineKernel({
  label: "linalg.pivot-block",
  source: stateSource + tileProduct + pivotSource + pivotBlockSource,
  entryPoint: "pivot_block",
  constants: { QUADS },
  bindings: ["read-write", "read-write", "read-write"],
});

const blockRow = defineKernel({
  label: "linalg.block-row",
  source: tileProduct + blockRowSource,
  entryPoint: "block_row",
  constants: { QUADS },
  bindings: ["read-write", "read"],
});

const trailingUpdate = defineKernel({
  label: "linalg.trailing-update",
  source: stateSource + tileProduct + pivotSource + trailingUpdateSource,
  entryPoint: "trailing_update",
  constants: { QUADS },
  bindings: ["read-write", "read-write", "read-write"],
});

/**
 * Overwrites each `B = L Lᵀ` of a batch: `L⁻¹` on and below its diagonal. A failed pivot is noted
 * in the state.
 */
function recordCholeskyInverse<M extends Member>(batch: PaddedBatch<M>, b: GPUBuffer): void {
  const { recording, side, count } = batch;
  const blocks = side / BLOCK;
  const dTransposed = batch.scratch([count, BLOCK, BLOCK]);
  const buffers = [b, dTransposed, batch.stateBuffer];
  recording.dispatch(pivotBlock, {
    buffers,
    uniforms: { u32: [side / 4, 0] },
    workgroups: [1, 1, count],
  });
  for (let step = 0; step < blocks; step++) {
    if (step % STEPS_A_SUBMISSION === 1) recording.submit();
    const uniforms = { u32: [side / 4, step] };
    recording.dispatch(blockRow, {
      buffers: [b, dTransposed],
      uniforms,
      workgroups: [blocks - 1, 1, count],
    });
    recording.dispatch(trailingUpdate, {
      buffers,
      uniforms,
      workgroups: [blocks, blocks - 1 - step, count],
    });
  }
}

/** A matrix to factor. */
export interface FactorMember extends Member {
  /**
   * Where its result goes; absent where only the factorization matters (is `M + τI` positive
   * definite?).
   */
  readonly target?: Tensor;
}

export interface FactorOptions {
  readonly result: "inverse" | "whitener";
  readonly verifyFully: boolean;
}

/** How a matrix of size d is padded: small inverses have a kernel of their own. */
export function factorSide({ result, verifyFully }: FactorOptions): (d: number) => number {
  const isBlocked = result === "whitener" || verifyFully;
  return isBlocked ? blockedSide : (d) => smallSide(d) ?? blockedSide(d);
}

/**
 * Inverts (or whitens) the members of one size class. Members with a target come first.
 * @returns the states, one a member; the caller reads and disposes them.
 */
export function choleskyInverse(
  engine: WebGpuEngine,
  sizeClass: SizeClass<FactorMember>,
  { result, verifyFully }: FactorOptions,
): Tensor {
  const isInverse = result === "inverse";
  if (isInverse && !verifyFully && smallSide(sizeClass.side) !== undefined) {
    return smallInverse(engine, sizeClass);
  }
  const recording = engine.record(`linalg.${result}`);
  const batch = new PaddedBatch(engine, recording, sizeClass, isInverse ? 1 : 2);
  const { side, members } = batch;
  const count = members.filter(({ target }) => target !== undefined).length;

  const lower = batch.prepared();
  recordCholeskyInverse(batch, lower);
  if (count > 0) {
    const invert = () => {
      const inverse = batch.scratch([count, side, side]);
      recordMatMul(recording, {
        a: lower,
        b: lower,
        c: inverse,
        m: side,
        n: side,
        k: side,
        batch: count,
        transposeA: true,
        symmetric: true,
        lower: true,
      });
      return inverse;
    };
    const inverse = isInverse || verifyFully ? invert() : undefined;
    const applyInverse = isInverse
      ? (x: GPUBuffer | "signs") => recordProbe(batch, inverse!, x, {}, count)
      : (x: GPUBuffer | "signs") => {
        const half = recordProbe(batch, lower, x, { lower: true }, count);
        return recordProbe(batch, lower, half, { lower: true, transposed: true }, count);
      };
    recordInverseJudgement(batch, applyInverse, count);
    if (verifyFully) recordExactResidual(batch, inverse!, count);
    batch.unload(isInverse ? inverse! : lower, ({ target }) => target!, {
      power: isInverse ? 1 : 1 / 2,
      lower: !isInverse,
      count,
    });
  }
  recording.submit();
  batch.dispose();
  return batch.states;
}
