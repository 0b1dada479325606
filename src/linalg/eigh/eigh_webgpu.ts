/**
 * Eigenvalues and eigenvectors of symmetric matrices on WebGPU: Jacobi in one workgroup up to 32, and above by way of a
 * tridiagonal matrix (tridiagonal/). What that cannot take, or where it is not chosen: one workgroup up to 64, then block Jacobi.
 *
 * The way by a tridiagonal matrix ends with the same step as the others: the basis is made orthonormal by Newton-Schulz, and the
 * eigenvalues are Rayleigh quotients, which also give the exact residual. A warm start is of no use to it; it takes less time than
 * block Jacobi with one.
 *
 * Block Jacobi pairs the block rows by a round robin; a round diagonalizes all its pivots (a
 * workgroup each) and applies their rotations to the rest as products of tiles. Sweeps are recorded
 * up to a cap, and a flag a matrix, set on the device, turns those beyond convergence into empty
 * dispatches: the host decides nothing.
 *
 * Sweeps stop early. What they leave is removed to first order, `V ← V(I + E)`, the basis is made
 * orthonormal by a Newton-Schulz step, `V(3I − VᵀV)/2`, and `VᵀMV` is formed afresh from the
 * original matrix, free of the sweeps' rounding. That is four products for one or two sweeps. A
 * second series mends what was too close for first order, seldom more than nothing; then the same
 * again, and the eigenvalues are Rayleigh quotients, which also give the exact residual.
 *
 * There a warm start `V₀` turns the problem into `V₀ᵀ M V₀`, nearly diagonal after a small drift, and
 * sorted: what is too close for first order is near the diagonal. Two rounds between neighbouring
 * blocks and a correction, taken twice, stand in for the sweeps, which do only what is left.
 *
 * Source: Golub and Van Loan, Matrix Computations, 8.5 (parallel and block Jacobi); Björck and
 * Bowie 1971 for the polish.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { defineKernel, type WebGpuEngine } from "@/engine/mod.ts";
import { eighResidualBound } from "../bounds.ts";
import type { Stack } from "../linear_algebra.ts";
import { type MatMul, recordMatMul } from "../matmul/matmul_webgpu.ts";
import { BLOCK, type Member, PaddedBatch, type SizeClass } from "../padded/padded_webgpu.ts";
import { recordIdentity, recordLoadBasis } from "../padded/basis_webgpu.ts";
import { recordExactOrthogonality } from "../probe/exact_webgpu.ts";
import { recordOrthogonalityJudgement } from "../probe/probe_webgpu.ts";
import { stateSource } from "../padded/padded_webgpu.ts";
import { withReductions } from "../reduce/reduce_webgpu.ts";
import { BlockJacobi, recordSmallJacobi, type Series } from "./jacobi_webgpu.ts";
import { LEAF } from "../tridiagonal/divide_and_conquer_webgpu.ts";
import {
  largestTridiagonalSide,
  recordTridiagonalEigenvectors,
} from "../tridiagonal/tridiagonal_webgpu.ts";
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

/** Largest side that one workgroup solves by Jacobi. */
const SMALL = 64;

/** The padded side of a matrix of size d: 16, 32, 64, then multiples of 64. */
export function eighSide(d: number): number {
  if (d <= 16) return 16;
  return d <= 32 ? 32 : BLOCK * Math.ceil(d / BLOCK);
}

/** Whether a matrix of size d is decomposed faster where it begins from the eigenvectors of one that is near. */
export function takesWarmStart(engine: WebGpuEngine, d: number): boolean {
  return !isTridiagonal(engine, eighSide(d));
}

function isTridiagonal(engine: WebGpuEngine, side: number): boolean {
  return side > LEAF && engine.tuning.tridiagonal && side <= largestTridiagonalSide(engine);
}

/**
 * Decomposes the members of one size class; all or none of them have a warm start, and none that takes none.
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
  const array = () => batch.scratch([count, side, side]);
  const arrays = { a: batch.prepared(), basis: array(), s: array(), t: array() };
  const multiply = (product: Pick<MatMul, "a" | "b" | "c"> & Partial<MatMul>) =>
    recordMatMul(recording, { m: side, n: side, k: side, batch: count, ...product });

  const { a, s, t } = arrays;
  const isWarm = batch.members[0].warmStart !== undefined;
  if (isWarm) {
    recordLoadBasis(batch, s, ({ warmStart }) => warmStart!);
    multiply({ a, b: s, c: t });
    multiply({ a: s, b: t, c: a, transposeA: true, symmetric: true });
  }
  const v = isTridiagonal(engine, side)
    ? recordTridiagonalBasis(batch, arrays, multiply)
    : side > SMALL
    ? recordBlockBasis(batch, arrays, multiply, isWarm)
    : recordSmallBasis(batch, arrays, multiply, isWarm);

  batch.prepare(a);
  multiply({ a, b: v, c: s });
  const sorted = recordRayleighAndSort(batch, v, s, a);
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

/** The arrays `[count, side, side]` that the steps share. */
interface Arrays {
  /** The matrix, nearly diagonal after the sweeps. */
  readonly a: GPUBuffer;
  readonly basis: GPUBuffer;
  readonly s: GPUBuffer;
  readonly t: GPUBuffer;
}

type Multiply = (product: Pick<MatMul, "a" | "b" | "c"> & Partial<MatMul>) => void;

/** Newton-Schulz: `S = (3I − VᵀV)/2`, by which V is multiplied. */
const POLISH = { symmetric: true, alpha: -0.5, diagonal: 1.5 } as const;

/**
 * One workgroup a matrix. In a warm start `s` holds the basis that A was rotated into.
 * @returns the array that V ends up in.
 */
function recordSmallBasis<M extends Member>(
  batch: PaddedBatch<M>,
  { a, basis, s, t }: Arrays,
  multiply: Multiply,
  isWarm: boolean,
): GPUBuffer {
  recordSmallJacobi(batch, a, basis);
  if (isWarm) multiply({ a: s, b: basis, c: t });
  const [rough, polished] = isWarm ? [t, basis] : [basis, t];
  multiply({ a: rough, b: rough, c: s, transposeA: true, ...POLISH });
  multiply({ a: rough, b: s, c: polished });
  return polished;
}

/** By way of a tridiagonal matrix. @returns the array that V ends up in. */
function recordTridiagonalBasis(
  batch: PaddedBatch<EighMember>,
  { a, basis, s, t }: Arrays,
  multiply: Multiply,
): GPUBuffer {
  const rows = recordTridiagonalEigenvectors(batch, { a, reflectors: basis, z: [s, t] });
  const other = rows === s ? t : s;
  multiply({ a: rows, b: rows, c: other, transposeB: true, ...POLISH });
  multiply({ a: rows, b: other, c: basis, transposeA: true });
  return basis;
}

/**
 * The block method. It keeps Vᵀ, whose rows are what its kernels read.
 * @returns the array that V ends up in.
 */
function recordBlockBasis(
  batch: PaddedBatch<EighMember>,
  { a, basis, s, t }: Arrays,
  multiply: Multiply,
  isWarm: boolean,
): GPUBuffer {
  if (isWarm) recordLoadBasis(batch, basis, ({ warmStart }) => warmStart!, { transposed: true });
  else recordIdentity(batch, basis);

  const blocks = new BlockJacobi(batch, a, basis);
  /** Sweeps, then removes what is left to first order: Vᵀ into `s`, its polish into `t`. */
  const take = (series: Series) => {
    blocks.sweep(series);
    blocks.correction(t, series);
    multiply({ a: t, b: basis, c: s, transposeA: true });
    multiply({ a: s, b: s, c: t, transposeB: true, ...POLISH });
  };
  const takeAndRenew = (series: Series) => {
    take(series);
    multiply({ a: t, b: s, c: basis });
    batch.prepare(a);
    multiply({ a, b: basis, c: t, transposeB: true });
    multiply({ a: basis, b: t, c: a, symmetric: true });
  };
  for (let at = 0; isWarm && at < NEIGHBOURS; at++) takeAndRenew(NEIGHBOUR_SERIES);
  takeAndRenew(FIRST_SERIES);
  take(secondSeries(batch.side));
  multiply({ a: s, b: t, c: basis, transposeA: true });
  return basis;
}

/** Until first order, taken twice, does the rest. */
const FIRST_SERIES: Series = {
  maxSweeps: 15,
  tolerance: 1e-4,
  correctable: 0.05,
  maxTurn: 0.06, // |E|₂ is seldom above twice this: the polish leaves 3/4·|E|⁴ = 2e-4 at worst
};

/** What a warm start begins with: two rounds, where a sweep at 512 has fifteen. */
const NEIGHBOUR_SERIES: Series = { ...FIRST_SERIES, maxSweeps: 1, onlyNeighbours: true };

/** How often: what is left is about squared each time, and twice settles a decay of 0.95. */
const NEIGHBOURS = 2;

/**
 * To within the bound on the residual, of which rounding takes the rest.
 *
 * Among eigenvalues closer to each other than float32 resolves, angles are rounding over gap, and the many moderate ones would add
 * up to more than the polish mends: only small ones are taken. (At 512 and 6 decades 0.05 left an orthogonality of 8e-6.)
 */
function secondSeries(side: number): Series {
  return {
    maxSweeps: 6,
    tolerance: 0.7 * eighResidualBound(side),
    correctable: 0.005,
    maxTurn: 0.02, // leaves 2e-6 at worst, in the few directions that turn most
  };
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
    ...withReductions(stateSource + sortSource),
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
  const groups = Math.ceil(side / 64);
  recording.dispatch(sort, { buffers, uniforms, workgroups: [groups, groups, count] });
  recording.dispatch(judgeEigh, { buffers, uniforms, workgroups: [1, 1, count] });
  return { vectors, values };
}
