/**
 * Inverse p-th roots of symmetric positive definite matrices on WebGPU: coupled Newton, matrix
 * products alone.
 *
 * All iterates are polynomials of one symmetric matrix, so they commute and every product is
 * symmetric: half is computed. Iterations are recorded up to a cap and stop on the device, each
 * matrix for itself.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { defineKernel, type Kernel, type WebGpuEngine } from "@/engine/mod.ts";
import { productWorkgroups, recordMatMul } from "../matmul/matmul_webgpu.ts";
import { type Member, PaddedBatch, type SizeClass, stateSource } from "../padded/padded_webgpu.ts";
import { recordExactResidual } from "../probe/exact_webgpu.ts";
import { recordInverseJudgement, recordProbe } from "../probe/probe_webgpu.ts";
import { withReductions } from "../reduce/reduce_webgpu.ts";
import copySource from "./copy_matrices.wgsl" with { type: "text" };
import source from "./coupled_newton.wgsl" with { type: "text" };

/** A matrix whose root is taken. */
export interface RootMember extends Member {
  readonly target: Tensor;
}

/** Roots that coupled Newton is used for; `T^p` for larger ones would lose too many digits. */
export function isDeviceRoot(root: number): boolean {
  return Number.isInteger(root) && root >= 2 && root <= 8;
}

/**
 * The smallest eigenvalue grows by (1 + 1/p)^p ≥ 2.25 a step: enough for a condition of 1e7 and a
 * norm of √4096.
 */
const MAX_STEPS = 32;

const TOLERANCE = 1e-6;

const define = (entryPoint: EntryPoint) =>
  defineKernel({
    label: `linalg.${entryPoint}`,
    ...withReductions(stateSource + source),
    entryPoint,
    bindings: ["read-write", "read-write", "read-write", "read-write", "read-write", "read-write"],
  });

const kernels: Readonly<Record<EntryPoint, Kernel>> = {
  root_norm_rows: define("root_norm_rows"),
  root_norm: define("root_norm"),
  root_start: define("root_start"),
  root_error_rows: define("root_error_rows"),
  root_convergence: define("root_convergence"),
  root_step: define("root_step"),
};

/**
 * Takes the roots of the members of one size class.
 * @returns the states, one a member; the caller reads and disposes them.
 */
export function inverseRoot(
  engine: WebGpuEngine,
  sizeClass: SizeClass<RootMember>,
  { root, verifyFully }: { readonly root: number; readonly verifyFully: boolean },
): Tensor {
  const recording = engine.record("linalg.inverse-root");
  const batch = new PaddedBatch(engine, recording, sizeClass, root);
  const { side, count } = batch;
  const array = () => batch.scratch([count, side, side]);
  const [m, x, t] = [batch.prepared(), array(), array()];
  const nextX = array();
  const spares = [array(), array(), array(), array()];

  const product = { m: side, n: side, k: side, batch: count, symmetric: true };
  const counts = { buffer: engine.indirectCounts, offset: 0 };
  const buffers = [m, x, t, batch.scratch([count, side]), batch.stateBuffer, counts.buffer];
  const run = (entryPoint: EntryPoint, workgroups: number[]) =>
    recording.dispatch(kernels[entryPoint], {
      buffers,
      uniforms: {
        u32: [side, root, productWorkgroups(recording.tuning, product)[0], count],
        f32: [TOLERANCE],
      },
      workgroups,
    });
  const multiply = (a: GPUBuffer, b: GPUBuffer, c: GPUBuffer) => {
    recordMatMul(recording, { ...product, a, b, c, counts });
    return c;
  };
  // Skipped with the products of a step, so X and M stay in their places whether or not a step was
  // taken.
  const accept = (source: GPUBuffer, target: GPUBuffer) =>
    recording.dispatch(copy, {
      buffers: [source, target],
      uniforms: { u32: [side * side] },
      workgroups: counts,
    });

  const cells = [Math.ceil(side / 16), Math.ceil(side / 16), count];
  run("root_norm_rows", [side, 1, count]);
  run("root_norm", [1, 1, count]);
  run("root_start", cells);
  for (let step = 0; step < MAX_STEPS; step++) {
    run("root_error_rows", [side, 1, count]);
    run("root_convergence", [1, 1, count]);
    run("root_step", cells);
    multiply(x, t, nextX);
    accept(powerTimes(t, root, m, multiply, spares), m);
    accept(nextX, x);
  }

  const applyRoot = (y: GPUBuffer | "signs") => recordProbe(batch, x, y);
  const applyInverse = (y: GPUBuffer | "signs") => {
    let result = applyRoot(y);
    for (let i = 1; i < root; i++) result = applyRoot(result);
    return result;
  };
  recordInverseJudgement(batch, applyInverse, count);
  if (verifyFully) {
    const times = (a: GPUBuffer, b: GPUBuffer, c: GPUBuffer) => {
      recordMatMul(recording, { ...product, a, b, c });
      return c;
    };
    recordExactResidual(batch, powerTimes(x, root - 1, x, times, spares), count);
  }
  batch.unload(x, ({ target }) => target, { power: 1 / root });
  recording.submit();
  batch.dispose();
  return batch.states;
}

type EntryPoint =
  | "root_norm_rows"
  | "root_norm"
  | "root_start"
  | "root_error_rows"
  | "root_convergence"
  | "root_step";

const copy = defineKernel({
  label: "linalg.copy",
  source: copySource,
  entryPoint: "copy_matrices",
  bindings: ["read", "read-write"],
});

/**
 * `Tᵉ M` by repeated squaring.
 * @param spares four arrays, none of them T or M.
 * @returns one of the spares.
 */
function powerTimes(
  t: GPUBuffer,
  exponent: number,
  m: GPUBuffer,
  multiply: (a: GPUBuffer, b: GPUBuffer, c: GPUBuffer) => GPUBuffer,
  [productA, productB, squareA, squareB]: GPUBuffer[],
): GPUBuffer {
  let [product, base] = [m, t];
  for (let e = exponent; e > 0; e = e >> 1) {
    if (e % 2 === 1) product = multiply(base, product, product === productA ? productB : productA);
    if (e > 1) base = multiply(base, base, base === squareA ? squareB : squareA);
  }
  return product;
}
