/**
 * Matrices of many problems gathered into one padded batch, so that equal sizes go to the device
 * together.
 *
 * A matrix's padded side follows from its own size alone, and every kernel treats the matrices of a
 * batch apart, so a result has the same bits whatever else is in the batch. The padding is an
 * identity block: it stays one under inversion.
 *
 * @module
 */
import { type Tensor, type Tensor1D, tensor1d } from "@tensorflow/tfjs-core";
import { defineKernel, type Recording, type WebGpuEngine } from "@/engine/mod.ts";
import type { Stack } from "../linear_algebra.ts";
import { withReductions } from "../reduce/reduce_webgpu.ts";
import loadSource from "./load.wgsl" with { type: "text" };
import prepareSource from "./prepare.wgsl" with { type: "text" };
import stateSource from "./state.wgsl" with { type: "text" };
import { STATE_WORDS } from "./state_webgpu.ts";
import surveySource from "./survey.wgsl" with { type: "text" };
import unloadSource from "./unload.wgsl" with { type: "text" };

/** WGSL of `MatrixState`, to be joined with a kernel that uses it. */
export { stateSource };

/** One matrix of one problem. */
export interface Member {
  /** Whose it is: what one dispatch copies belongs to one problem. */
  readonly problem: unknown;
  readonly matrix: Stack;
  /** Its place in the stack. */
  readonly index: number;
  /** A number, or its tensor `[b]`. */
  readonly shift: number | Tensor1D;
}

/** Members of one padded side. */
export interface SizeClass<M extends Member> {
  readonly side: number;
  readonly members: readonly M[];
}

/** All blocked kernels work in blocks of this side. */
export const BLOCK = 64;

/** An operation takes up to nine arrays of this size: 32 matrices of 1024 each. */
const MAX_BATCH_BYTES = 128 * 2 ** 20;

/** The next multiple of {@linkcode BLOCK}. */
export function blockedSide(d: number): number {
  return BLOCK * Math.ceil(d / BLOCK);
}

/**
 * Groups members by padded side, in batches that fit a binding, and of which each has a workgroup of its own in a dispatch.
 *
 * @param sideOf the padded side of a matrix of size d. @default {@linkcode blockedSide}
 */
export function sizeClasses<M extends Member>(
  engine: WebGpuEngine,
  members: readonly M[],
  sideOf = blockedSide,
): SizeClass<M>[] {
  const { maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = engine.device.limits;
  const bySide = Map.groupBy(members, ({ matrix }) => sideOf(matrix.shape[1]));
  return [...bySide].flatMap(([side, all]) => {
    const bytes = Math.min(MAX_BATCH_BYTES, maxStorageBufferBindingSize);
    const thatFit = Math.floor(bytes / (4 * side * side));
    const most = Math.max(1, Math.min(thatFit, maxComputeWorkgroupsPerDimension));
    const batches = Array.from(
      { length: Math.ceil(all.length / most) },
      (_, i) => all.slice(i * most, (i + 1) * most),
    );
    return batches.map((batch) => ({ side, members: batch }));
  });
}

const load = defineKernel({
  label: "linalg.load",
  source: stateSource + loadSource,
  entryPoint: "load",
  bindings: ["read", "read", "read-write", "read-write"],
});

const [surveyRows, survey] = ["survey_rows", "survey"].map((entryPoint) =>
  defineKernel({
    label: `linalg.${entryPoint}`,
    ...withReductions(stateSource + surveySource),
    entryPoint,
    bindings: ["read", "read-write", "read-write"],
  })
);

const prepare = defineKernel({
  label: "linalg.prepare",
  source: stateSource + prepareSource,
  entryPoint: "prepare",
  bindings: ["read", "read", "read-write"],
});

const [unload, unloadLower] = [0, 1].map((LOWER) =>
  defineKernel({
    label: "linalg.unload",
    source: stateSource + unloadSource,
    entryPoint: "unload",
    constants: { LOWER },
    bindings: ["read", "read", "read-write"],
  })
);

/**
 * A batch on the device. Its tensors are disposed by {@linkcode PaddedBatch.dispose}, all but the
 * states.
 */
export class PaddedBatch<M extends Member> {
  readonly side: number;
  readonly members: readonly M[];
  readonly count: number;
  /** `MatrixState [count]`; the caller's. */
  readonly states: Tensor;
  /** The matrices as they came, `[count, side, side]`, zero outside. */
  readonly matrices: GPUBuffer;

  readonly #scratch: Tensor[] = [];

  /**
   * Gathers the members and finds their scales.
   * @param granule of which the scale's exponent is a multiple: 1 for an inverse, p for a p-th
   *   root.
   */
  constructor(
    readonly engine: WebGpuEngine,
    readonly recording: Recording,
    { side, members }: SizeClass<M>,
    granule: number,
  ) {
    this.side = side;
    this.members = members;
    this.count = members.length;
    this.states = engine.emptyTensor([this.count, STATE_WORDS]);
    this.matrices = this.scratch([this.count, side, side]);
    this.#load();

    const rowLargest = this.scratch([this.count, side]);
    const buffers = [this.matrices, rowLargest, this.stateBuffer];
    const uniforms = { u32: [side], f32: [granule] };
    recording.dispatch(surveyRows, { buffers, uniforms, workgroups: [side, 1, this.count] });
    recording.dispatch(survey, { buffers, uniforms, workgroups: [1, 1, this.count] });
  }

  get stateBuffer(): GPUBuffer {
    return this.engine.bufferOf(this.states);
  }

  /** A buffer that lives as long as the batch. */
  scratch(shape: number[]): GPUBuffer {
    const tensor = this.engine.emptyTensor(shape);
    this.#scratch.push(tensor);
    return this.engine.bufferOf(tensor);
  }

  /** A new array of the scaled and shifted matrices, `[count, side, side]`. */
  prepared(): GPUBuffer {
    const work = this.scratch([this.count, this.side, this.side]);
    this.prepare(work);
    return work;
  }

  prepare(work: GPUBuffer): void {
    const { side, count } = this;
    const groups = side * side / 256;
    const x = Math.min(groups, 4096);
    this.recording.dispatch(prepare, {
      buffers: [this.matrices, this.stateBuffer, work],
      uniforms: { u32: [side, x * 256] },
      workgroups: [x, Math.ceil(groups / x), count],
    });
  }

  /**
   * Copies the first results out to their stacks, scaled by `2^(power·exponent)`.
   * @param target where a member's result goes.
   */
  unload(
    x: GPUBuffer,
    target: (member: M) => Tensor,
    { power, lower = false, count = this.count }: {
      power: number;
      lower?: boolean;
      count?: number;
    },
  ): void {
    this.eachRun(({ member, first, length }) => {
      const d = member.matrix.shape[1];
      const groups = Math.ceil(d / 16);
      this.recording.dispatch(lower ? unloadLower : unload, {
        buffers: [x, this.stateBuffer, this.engine.bufferOf(target(member))],
        uniforms: { u32: [d, this.side, member.index * d * d, first], f32: [power] },
        workgroups: [groups, groups, length],
      });
    }, count);
  }

  /** Calls `visit` for each stretch of the first members that one dispatch can copy. */
  eachRun(visit: (run: Run<M>) => void, count = this.count): void {
    for (const run of runs(this.members.slice(0, count))) visit(run);
  }

  /** After the recording was submitted. */
  dispose(): void {
    for (const tensor of this.#scratch) tensor.dispose();
  }

  #load(): void {
    const { engine, members, side } = this;
    const numbers = tensor1d(
      members.map(({ shift }) => typeof shift === "number" ? shift : 0),
      "float32",
    );
    this.#scratch.push(numbers);
    const groups = Math.ceil(side / 16);
    for (const { member, first, length } of runs(members)) {
      const { matrix, index, shift } = member;
      const d = matrix.shape[1];
      const isNumber = typeof shift === "number";
      this.recording.dispatch(load, {
        buffers: [
          engine.bufferOf(matrix),
          engine.bufferOf(isNumber ? numbers : shift),
          this.matrices,
          this.stateBuffer,
        ],
        uniforms: { u32: [d, side, index * d * d, first, isNumber ? first : index] },
        workgroups: [groups, groups, length],
      });
    }
  }
}

/** Members that follow each other in one stack. */
export interface Run<M extends Member> {
  readonly member: M;
  /** Place of the first in the batch. */
  readonly first: number;
  readonly length: number;
}

/**
 * Stretches of members that follow each other in the same stack: one dispatch each.
 * @param start place of the first member in the batch.
 */
export function runs<M extends Member>(members: readonly M[], start = 0): Run<M>[] {
  const found: { member: M; first: number; length: number }[] = [];
  members.forEach((member, at) => {
    const last = found.at(-1);
    const follows = last !== undefined && last.member.problem === member.problem &&
      last.member.index + last.length === member.index &&
      typeof last.member.shift === typeof member.shift;
    if (follows) last.length++;
    else found.push({ member, first: start + at, length: 1 });
  });
  return found;
}
