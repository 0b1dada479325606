/**
 * Bases into a padded batch: launches load_basis.wgsl.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { defineKernel } from "@/engine/mod.ts";
import source from "./load_basis.wgsl" with { type: "text" };
import type { Member, PaddedBatch } from "./padded_webgpu.ts";

const variant = (IS_IDENTITY: number, TRANSPOSED: number) =>
  defineKernel({
    label: "linalg.load-basis",
    source,
    entryPoint: "load_basis",
    constants: { IS_IDENTITY, TRANSPOSED },
    bindings: ["read", "read-write"],
  });
const loadBasis = variant(0, 0);
const loadTransposed = variant(0, 1);
const identity = variant(1, 0);

/** Copies each member's basis, identity outside it. */
export function recordLoadBasis<M extends Member>(
  batch: PaddedBatch<M>,
  q: GPUBuffer,
  basisOf: (member: M) => Tensor,
  { transposed = false }: { transposed?: boolean } = {},
): void {
  const groups = Math.ceil(batch.side / 16);
  batch.eachRun(({ member, first, length }) => {
    const d = member.matrix.shape[1];
    batch.recording.dispatch(transposed ? loadTransposed : loadBasis, {
      buffers: [batch.engine.bufferOf(basisOf(member)), q],
      uniforms: { u32: [d, batch.side, member.index * d * d, first] },
      workgroups: [groups, groups, length],
    });
  });
}

/** Writes the identity into every matrix of `q`. */
export function recordIdentity<M extends Member>(batch: PaddedBatch<M>, q: GPUBuffer): void {
  const groups = Math.ceil(batch.side / 16);
  batch.recording.dispatch(identity, {
    buffers: [batch.matrices, q], // the source is not read
    uniforms: { u32: [0, batch.side, 0, 0] },
    workgroups: [groups, groups, batch.count],
  });
}
