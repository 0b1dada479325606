/**
 * Eigenvalues and eigenvectors of symmetric matrices on WebGPU: Jacobi, in one workgroup up to 64, in blocks above.
 *
 * Block Jacobi pairs the block rows by a round robin; a round diagonalizes all its pivots (a workgroup each) and applies
 * their rotations to the rest as products of tiles. Sweeps are recorded up to a cap, and a flag a matrix, set on
 * the device, turns those beyond convergence into empty dispatches: the host decides nothing. At the end the
 * basis is made orthonormal by a Newton-Schulz step, `V(3I − VᵀV)/2`, and the eigenvalues are taken as Rayleigh quotients
 * with the original matrix, which also gives the exact residual.
 *
 * A warm start `V₀` turns the problem into `V₀ᵀ M V₀`, nearly diagonal after a small drift: then two or three
 * sweeps do.
 *
 * Source: Golub and Van Loan, Matrix Computations, 8.5 (parallel and block Jacobi); Björck and Bowie 1971 for the polish.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { defineKernel, type WebGpuEngine } from "@/engine/mod.ts";
import type { Stack } from "../linear_algebra.ts";
import { recordMatMul } from "../matmul/matmul_webgpu.ts";
import { BLOCK, type Member, PaddedBatch, type SizeClass } from "../padded/padded_webgpu.ts";
import { recordIdentity, recordLoadBasis } from "../padded/basis_webgpu.ts";
import { recordExactOrthogonality } from "../probe/exact_webgpu.ts";
import { recordOrthogonalityJudgement } from "../probe/probe_webgpu.ts";
import { stateSource } from "../padded/padded_webgpu.ts";
import { recordBlockSweeps, recordSmallJacobi } from "./jacobi_webgpu.ts";
import rayleighSource from "./rayleigh.wgsl" with { type: "text" };
import sortSource from "./sort.wgsl" with { type: "text" };
import unloadValuesSource from "./unload_values.wgsl" with { type: "text" };

/** A matrix to decompose. */
export interface EighMember extends Member {
  readonly warmStart?: Stack;
  /** Where its eigenvectors and eigenvalues go. */
  readonly vectors: Tensor;
  readonly values: Tensor;
}

/** Largest side that one workgroup solves. */
const SMALL = 64;

/** The padded side of a matrix of size d: 16, 32, 64, then multiples of 64. */
export function eighSide(d: number): number {
  if (d <= 16) return 16;
  return d <= 32 ? 32 : BLOCK * Math.ceil(d / BLOCK);
}

/**
 * Decomposes the members of one size class; all or none of them have a warm start.
 * @returns the states, one a member; the caller reads and disposes them.
 */
export function eigh(
  engine: WebGpuEngine,
  sizeClass: SizeClass<EighMember>,
  { verifyFully }: { readonly verifyFully: boolean },
): Tensor {
  const recording = engine.record("linalg.eigh");
  const batch = new PaddedBatch(engine, recording, sizeClass, 1);
  const { side, count } = batch;
  const square = { m: side, n: side, k: side, batch: count };
  const array = () => batch.scratch([count, side, side]);
  const isWarm = batch.members[0].warmStart !== undefined;

  const a = batch.prepared();
  const t = array();
  const start = array();
  if (isWarm) {
    recordLoadBasis(batch, start, ({ warmStart }) => warmStart!);
    recordMatMul(recording, { ...square, a, b: start, c: t });
    recordMatMul(recording, {
      ...square,
      a: start,
      b: t,
      c: a,
      transposeA: true,
      symmetric: true,
    });
  }

  // The basis in the columns of `basis`, or, from the block method, in its rows.
  let basis = array();
  const isTransposed = side > SMALL;
  if (isTransposed) {
    if (isWarm) recordLoadBasis(batch, basis, ({ warmStart }) => warmStart!, { transposed: true });
    else recordIdentity(batch, basis);
    recordBlockSweeps(batch, a, basis);
  } else {
    recordSmallJacobi(batch, a, basis);
    if (isWarm) {
      recordMatMul(recording, { ...square, a: start, b: basis, c: t });
      basis = t;
    }
  }

  const polish = isWarm ? array() : start;
  recordMatMul(recording, {
    ...square,
    a: basis,
    b: basis,
    c: polish,
    transposeA: !isTransposed,
    transposeB: isTransposed,
    symmetric: true,
    alpha: -0.5,
    diagonal: 1.5,
  });
  const v = array();
  recordMatMul(recording, { ...square, a: basis, b: polish, c: v, transposeA: isTransposed });

  batch.prepare(a);
  recordMatMul(recording, { ...square, a, b: v, c: polish });
  const sorted = recordRayleighAndSort(batch, v, polish, t);
  if (verifyFully) recordExactOrthogonality(batch, sorted.vectors);
  else recordOrthogonalityJudgement(batch, sorted.vectors);

  batch.unload(sorted.vectors, ({ vectors }) => vectors, { power: 0 });
  batch.eachRun(({ member, first, length }) => {
    const d = member.matrix.shape[1];
    recording.dispatch(unloadValues, {
      buffers: [sorted.values, batch.stateBuffer, engine.bufferOf(member.values)],
      uniforms: { u32: [d, side, member.index, first] },
      workgroups: [Math.ceil(d / 64), 1, length],
    });
  });
  recording.submit();
  batch.dispose();
  return batch.states;
}

const rayleigh = defineKernel({
  label: "linalg.rayleigh",
  source: stateSource + rayleighSource,
  entryPoint: "rayleigh",
  bindings: ["read", "read", "read", "read-write"],
});

const [sort, judgeEigh] = ["sort", "judge_eigh"].map((entryPoint) =>
  defineKernel({
    label: `linalg.${entryPoint}`,
    source: stateSource + sortSource,
    entryPoint,
    bindings: ["read", "read", "read-write", "read-write", "read-write"],
  })
);

const unloadValues = defineKernel({
  label: "linalg.unload-values",
  source: stateSource + unloadValuesSource,
  entryPoint: "unload_values",
  bindings: ["read", "read", "read-write"],
});

/**
 * Eigenvalues of the columns of V, and both in ascending order.
 * @param t `M V`.
 * @param vectors receives the sorted columns.
 */
function recordRayleighAndSort<M extends Member>(
  batch: PaddedBatch<M>,
  v: GPUBuffer,
  t: GPUBuffer,
  vectors: GPUBuffer,
): { vectors: GPUBuffer; values: GPUBuffer } {
  const { recording, side, count, stateBuffer } = batch;
  const uniforms = { u32: [side] };
  const quotients = batch.scratch([count, side, 2]);
  recording.dispatch(rayleigh, {
    buffers: [v, t, stateBuffer, quotients],
    uniforms,
    workgroups: [side / 16, 1, count],
  });
  const values = batch.scratch([count, side]);
  const buffers = [v, quotients, vectors, values, stateBuffer];
  recording.dispatch(sort, { buffers, uniforms, workgroups: [Math.ceil(side / 64), 1, count] });
  recording.dispatch(judgeEigh, { buffers, uniforms, workgroups: [1, 1, count] });
  return { vectors, values };
}
