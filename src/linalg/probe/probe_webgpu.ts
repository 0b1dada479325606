/**
 * Residual and condition of inverses on the device: launches probe.wgsl, the float32 twin of
 * probes.ts.
 *
 * @module
 */
import { defineKernel, type Kernel } from "@/engine/mod.ts";
import { type Member, type PaddedBatch, stateSource } from "../padded/padded_webgpu.ts";
import { withReductions } from "../reduce/reduce_webgpu.ts";
import judgeSource from "./judge_inverse.wgsl" with { type: "text" };
import orthogonalitySource from "./judge_orthogonality.wgsl" with { type: "text" };
import signs from "./signs.wgsl" with { type: "text" };
import probeSource from "./probe.wgsl" with { type: "text" };

/** What `y = A x` means; see probe.wgsl. */
export interface ProbeOptions {
  readonly minusSigns?: boolean;
  /** A stands for the scaled and shifted matrix. */
  readonly prepared?: boolean;
  readonly lower?: boolean;
  readonly transposed?: boolean;
}

const variants = new Map<string, Kernel>();

/**
 * Records `y = A x` for the first `count` matrices of a batch.
 *
 * @param x `vec4 [count, side]`, or `"signs"`.
 * @returns y, in scratch of the batch.
 */
export function recordProbe<M extends Member>(
  batch: PaddedBatch<M>,
  a: GPUBuffer,
  x: GPUBuffer | "signs",
  options: ProbeOptions = {},
  count = batch.count,
): GPUBuffer {
  const { minusSigns = false, prepared = false, lower = false, transposed = false } = options;
  const flags = [x === "signs", minusSigns, prepared, lower, transposed].map(Number);
  let kernel = variants.get(flags.join());
  if (kernel === undefined) {
    const [FROM_SIGNS, MINUS_SIGNS, PREPARED, LOWER, TRANSPOSED] = flags;
    kernel = defineKernel({
      label: "linalg.probe",
      ...withReductions(stateSource + signs + probeSource),
      entryPoint: "probe",
      constants: { FROM_SIGNS, MINUS_SIGNS, PREPARED, LOWER, TRANSPOSED },
      bindings: ["read", "read", "read", "read-write"],
    });
    variants.set(flags.join(), kernel);
  }
  const { side } = batch;
  const y = batch.scratch([count, side, 4]);
  batch.recording.dispatch(kernel, {
    buffers: [a, x === "signs" ? a : x, batch.stateBuffer, y],
    uniforms: { u32: [side] },
    workgroups: [side, 1, count],
  });
  return y;
}

const judgeInverse = defineKernel({
  label: "linalg.judge-inverse",
  ...withReductions(stateSource + judgeSource),
  entryPoint: "judge_inverse",
  bindings: ["read", "read", "read", "read", "read", "read-write"],
});

/**
 * Records the judgement of inverses of a batch's prepared matrices.
 *
 * @param applyInverse records `X x`.
 */
export function recordInverseJudgement<M extends Member>(
  batch: PaddedBatch<M>,
  applyInverse: (x: GPUBuffer | "signs") => GPUBuffer,
  count: number,
): void {
  const { matrices } = batch;
  const xOnce = applyInverse("signs");
  const xTwice = applyInverse(xOnce);
  const missed = recordProbe(batch, matrices, xOnce, { prepared: true, minusSigns: true }, count);
  const mOnce = recordProbe(batch, matrices, "signs", { prepared: true }, count);
  const mTwice = recordProbe(batch, matrices, mOnce, { prepared: true }, count);
  batch.recording.dispatch(judgeInverse, {
    buffers: [missed, xOnce, xTwice, mOnce, mTwice, batch.stateBuffer],
    uniforms: { u32: [batch.side] },
    workgroups: [1, 1, count],
  });
}

const judgeOrthogonality = defineKernel({
  label: "linalg.judge-orthogonality",
  ...withReductions(stateSource + orthogonalitySource),
  entryPoint: "judge_orthogonality",
  bindings: ["read", "read-write"],
});

/** Records `‖QᵀQ − I‖_F/√d` of a batch of bases. */
export function recordOrthogonalityJudgement<M extends Member>(
  batch: PaddedBatch<M>,
  q: GPUBuffer,
): void {
  const once = recordProbe(batch, q, "signs");
  const missed = recordProbe(batch, q, once, { transposed: true, minusSigns: true });
  batch.recording.dispatch(judgeOrthogonality, {
    buffers: [missed, batch.stateBuffer],
    uniforms: { u32: [batch.side] },
    workgroups: [1, 1, batch.count],
  });
}
