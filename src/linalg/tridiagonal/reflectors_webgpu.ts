/**
 * Products of Householder reflectors on WebGPU, in blocks: `H₁ H₂ … = Π (I − V T Vᵀ)`.
 *
 * Source: Schreiber and Van Loan 1989, A storage-efficient WY representation (LAPACK's ormtr).
 *
 * @module
 */
import { defineKernel } from "@/engine/mod.ts";
import { recordMatMul } from "../matmul/matmul_webgpu.ts";
import { BLOCK, type Member, type PaddedBatch } from "../padded/padded_webgpu.ts";
import compactWySource from "./compact_wy.wgsl" with { type: "text" };
import reflectSource from "./reflect.wgsl" with { type: "text" };

/** Rows that a workgroup of reflect.wgsl takes through all blocks. */
const ROWS = 8;

const compactWy = defineKernel({
  label: "linalg.compact-wy",
  source: compactWySource,
  entryPoint: "compact_wy",
  bindings: ["read", "read", "read-write"],
});

const reflect = defineKernel({
  label: "linalg.reflect",
  source: reflectSource,
  entryPoint: "reflect",
  bindings: ["read", "read", "read-write"],
});

/** `zᵀ ← (H₁ H₂ … z)ᵀ` for each row of `z`. */
export function recordReflections<M extends Member>(
  batch: PaddedBatch<M>,
  { reflectors, tridiagonal, z, w }: {
    /** `[count, side, side]`: v in rows, zero up to the diagonal; as `z` and `w`. */
    reflectors: GPUBuffer;
    /** `[count, side, 4]`: the third is τ. */
    tridiagonal: GPUBuffer;
    z: GPUBuffer;
    /** Overwritten. */
    w: GPUBuffer;
  },
): void {
  const { recording, side, count } = batch;
  const blocks = side / BLOCK;
  const tTransposed = batch.scratch([count, blocks, BLOCK, BLOCK]);
  recording.dispatch(compactWy, {
    buffers: [reflectors, tridiagonal, tTransposed],
    uniforms: { u32: [side] },
    workgroups: [blocks, 1, count],
  });
  recordMatMul(recording, {
    a: reflectors,
    b: tTransposed,
    c: w,
    batch: count * blocks,
    m: side,
    n: BLOCK,
    k: BLOCK,
    transposeA: true,
  });
  recording.dispatch(reflect, {
    buffers: [w, reflectors, z],
    uniforms: { u32: [side] },
    workgroups: [side / ROWS, 1, count],
  });
}
