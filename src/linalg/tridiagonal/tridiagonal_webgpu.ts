/**
 * Eigenvectors of symmetric matrices on WebGPU by way of a tridiagonal matrix.
 *
 *   H … A … H = T   (tridiagonalize.wgsl, a dispatch a column)
 *   T = Z Λ Zᵀ      (divide_and_conquer_webgpu.ts)
 *   V = H₁ H₂ … Z   (reflectors_webgpu.ts)
 *
 * 4/3·n³ multiplications and additions of matrix with vector, at most as many in the products of
 * the divide and conquer, and 2·n³ in the last step; nothing iterates but the roots of one secular
 * equation each. Where a dispatch is quick this is several times as fast as block Jacobi, whose
 * pivots take turns in a workgroup.
 *
 * Source: Golub and Van Loan, Matrix Computations, 8.3 and 8.4 (LAPACK's syevd).
 *
 * @module
 */
import { defineKernel, type Kernel, type WebGpuEngine } from "@/engine/mod.ts";
import { recordNorm } from "../eigh/jacobi_webgpu.ts";
import type { Member, PaddedBatch } from "../padded/padded_webgpu.ts";
import { withReductions } from "../reduce/reduce_webgpu.ts";
import { recordDivideAndConquer } from "./divide_and_conquer_webgpu.ts";
import { recordReflections } from "./reflectors_webgpu.ts";
import tridiagonalizeSource from "./tridiagonalize.wgsl" with { type: "text" };

/** Columns that a lane of tridiagonalize.wgsl owns, and rows that a workgroup does. */
const COLUMNS = 4, ROWS = 8;

const SMALLEST_WORKGROUP = 64;

/**
 * Steps that are submitted together: the device works while the host records the next. A submission costs the host 30 µs, a
 * step both some 6.
 */
const STEPS_A_SUBMISSION = 48, FIRST_STEPS = 9;

/** Bytes of workgroup memory a lane, for sums without subgroups: two vectors of four. */
const LANE_BYTES = 32;

/** The largest side that a device can reduce: a workgroup spans a row. */
export function largestTridiagonalSide({ device: { limits } }: WebGpuEngine): number {
  const lanes = Math.min(
    limits.maxComputeInvocationsPerWorkgroup,
    limits.maxComputeWorkgroupSizeX,
    limits.maxComputeWorkgroupStorageSize / LANE_BYTES,
  );
  return COLUMNS * 2 ** Math.floor(Math.log2(lanes)); // as lanesOf() rounds up
}

/** Arrays `[count, side, side]`. */
export interface TridiagonalArrays {
  /** The matrices; overwritten. */
  readonly a: GPUBuffer;
  readonly reflectors: GPUBuffer;
  /** Two places for Zᵀ. */
  readonly z: readonly [GPUBuffer, GPUBuffer];
}

/**
 * Records the way to the eigenvectors of `a`, orthonormal but for rounding; the states have its norm.
 * @returns the array of `z` that holds them, in its rows, in no order.
 */
export function recordTridiagonalEigenvectors<M extends Member>(
  batch: PaddedBatch<M>,
  { a, reflectors, z }: TridiagonalArrays,
): GPUBuffer {
  recordNorm(batch, a);
  const tridiagonal = recordReduction(batch, a, reflectors);
  const vectors = recordDivideAndConquer(batch, { tridiagonal, z, u: a });
  recordReflections(batch, { reflectors, tridiagonal, z: vectors, w: a });
  return vectors;
}

/** @returns `[count, side, 4]`: diagonal, the entry below it, and the reflector's τ. */
function recordReduction<M extends Member>(
  batch: PaddedBatch<M>,
  a: GPUBuffer,
  reflectors: GPUBuffer,
): GPUBuffer {
  const { recording, side, count } = batch;
  const tridiagonal = batch.scratch([count, side, 4]);
  const products = batch.scratch([count, 2, side]);
  const kernel = tridiagonalize(lanesOf(side));
  const buffers = [a, reflectors, products, tridiagonal];
  for (let step = 0; step < side; step++) {
    const rows = side - ROWS * Math.floor((step + 1) / ROWS);
    recording.dispatch(kernel, {
      buffers,
      uniforms: { u32: [side, step] },
      workgroups: [Math.max(1, rows / ROWS), 1, count],
    });
    if ((step + 1) % STEPS_A_SUBMISSION === FIRST_STEPS) recording.submit();
  }
  return tridiagonal;
}

/** A power of two that spans a row. */
function lanesOf(side: number): number {
  return Math.max(SMALLEST_WORKGROUP, 2 ** Math.ceil(Math.log2(side / COLUMNS)));
}

const variants = new Map<number, Kernel>();

function tridiagonalize(lanes: number): Kernel {
  let kernel = variants.get(lanes);
  if (kernel === undefined) {
    kernel = defineKernel({
      label: "linalg.tridiagonalize",
      ...withReductions(`const LANES = ${lanes}u;\n${tridiagonalizeSource}`),
      entryPoint: "tridiagonalize",
      bindings: ["read-write", "read-write", "read-write", "read-write"],
    });
    variants.set(lanes, kernel);
  }
  return kernel;
}
