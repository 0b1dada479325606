/**
 * Exact residuals on the device (n³), for `verify: "full"`.
 *
 * @module
 */
import { defineKernel } from "@/engine/mod.ts";
import { recordMatMul } from "../matmul/matmul_webgpu.ts";
import { type Member, type PaddedBatch, stateSource } from "../padded/padded_webgpu.ts";
import { withReductions } from "../reduce/reduce_webgpu.ts";
import source from "./exact_residual.wgsl" with { type: "text" };

const define = (entryPoint: string, OF_ORTHOGONALITY: number) =>
  defineKernel({
    label: `linalg.${entryPoint}`,
    ...withReductions(stateSource + source),
    entryPoint,
    constants: { OF_ORTHOGONALITY },
    bindings: ["read", "read-write", "read-write"],
  });
const squareRows = define("square_rows", 0);
const exactResidual = define("exact_residual", 0);
const exactOrthogonality = define("exact_residual", 1);

/** `‖XM − I‖_F/√d` of the first `count` matrices of a batch into their states. */
export function recordExactResidual<M extends Member>(
  batch: PaddedBatch<M>,
  inverse: GPUBuffer,
  count: number,
): void {
  const { side } = batch;
  const prepared = batch.prepared();
  const r = batch.scratch([count, side, side]);
  const square = { m: side, n: side, k: side, batch: count };
  recordMatMul(batch.recording, { ...square, a: inverse, b: prepared, c: r, diagonal: -1 });
  recordNorm(batch, r, count, exactResidual);
}

/** `‖QᵀQ − I‖_F/√d` into the states. */
export function recordExactOrthogonality<M extends Member>(
  batch: PaddedBatch<M>,
  q: GPUBuffer,
): void {
  const { side, count } = batch;
  const r = batch.scratch([count, side, side]);
  recordMatMul(batch.recording, {
    a: q,
    b: q,
    c: r,
    m: side,
    n: side,
    k: side,
    batch: count,
    transposeA: true,
    symmetric: true,
    diagonal: -1,
  });
  recordNorm(batch, r, count, exactOrthogonality);
}

function recordNorm<M extends Member>(
  batch: PaddedBatch<M>,
  r: GPUBuffer,
  count: number,
  kernel: typeof exactResidual,
): void {
  const { recording, side } = batch;
  const buffers = [r, batch.scratch([count, side]), batch.stateBuffer];
  const uniforms = { u32: [side] };
  recording.dispatch(squareRows, { buffers, uniforms, workgroups: [side, 1, count] });
  recording.dispatch(kernel, { buffers, uniforms, workgroups: [1, 1, count] });
}
