/**
 * Inverses of small symmetric positive definite matrices on WebGPU: one dispatch for a whole batch,
 * a workgroup a matrix (small_inverse.wgsl), or a subgroup (in_one_subgroup.wgsl).
 *
 * Sources are copied into one buffer and results out of one: a copy costs less than a dispatch, and
 * a batch of many callers' matrices has many of both.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { defineKernel, type Kernel, type WebGpuEngine } from "@/engine/mod.ts";
import type { FactorMember } from "../cholesky_inverse/cholesky_inverse_webgpu.ts";
import { runs, type SizeClass, stateSource } from "../padded/padded_webgpu.ts";
import { STATE_WORDS } from "../padded/state_webgpu.ts";
import signs from "../probe/signs.wgsl" with { type: "text" };
import oneSubgroup from "./in_one_subgroup.wgsl" with { type: "text" };
import workgroup from "./small_inverse.wgsl" with { type: "text" };

/** Blocks of the kernel along the sides it is compiled for. */
const STEP = 32, BLOCK = 8, LARGEST = 128;

/** By side, in each form. */
const ofWorkgroup = new Map<number, Kernel>(), ofSubgroup = new Map<number, Kernel>();

function kernelOf(side: number, needsSubgroups: boolean): Kernel {
  const kernels = needsSubgroups ? ofSubgroup : ofWorkgroup;
  let kernel = kernels.get(side);
  if (kernel === undefined) {
    kernel = defineKernel({
      label: "linalg.small-inverse",
      source: stateSource + signs + (needsSubgroups ? oneSubgroup : workgroup),
      needsSubgroups,
      entryPoint: "small_inverse",
      constants: { BLOCKS: side / BLOCK },
      bindings: [
        "read",
        "read",
        "read",
        "read-write",
        "read-write",
        ...(needsSubgroups ? ["read-write" as const] : []),
      ],
      hasUniforms: false,
    });
    kernels.set(side, kernel);
  }
  return kernel;
}

/** The padded side of a matrix that {@linkcode smallInverse} inverts, or undefined: it is too large. */
export function smallSide(d: number): number | undefined {
  return d <= LARGEST ? STEP * Math.ceil(d / STEP) : undefined;
}

/** Words of a `Member` of small_inverse.wgsl. */
const MEMBER_WORDS = 3;
/** Words of the `Queue` of in_one_subgroup.wgsl. */
const QUEUE_WORDS = 2;
const NO_RESULT = 0xffffffff;
const FLOAT_BYTES = 4;

/**
 * Inverts the members of one size class. Members with a target come first.
 * @returns the states, one a member; the caller reads and disposes them.
 */
export function smallInverse(
  engine: WebGpuEngine,
  { side, members }: SizeClass<FactorMember>,
): Tensor {
  const count = members.filter(({ target }) => target !== undefined).length;
  const stretches = [...runs(members.slice(0, count)), ...runs(members.slice(count), count)]
    .map(({ member, first, length }) => {
      const d = member.matrix.shape[1];
      return { member, first, length, start: member.index * d * d, cells: d * d };
    });
  const sources = new Places(), results = new Places();
  const table = new Uint32Array(MEMBER_WORDS * members.length);
  for (const { member, first, length, start, cells } of stretches) {
    const { matrix, target } = member;
    const source = sources.place(matrix, start, length * cells);
    const result = target && results.place(target, start, length * cells);
    for (let i = 0; i < length; i++) {
      const at = result === undefined ? NO_RESULT : result + i * cells;
      table.set([matrix.shape[1], source + i * cells, at], MEMBER_WORDS * (first + i));
    }
  }

  const inSubgroup = engine.tuning.smallInverseInSubgroup;
  const sizes = [sources.size, table.length, members.length, Math.max(1, results.size)];
  if (inSubgroup) sizes.push(QUEUE_WORDS);
  const scratch = sizes.map((size) => engine.emptyTensor([size]));
  const [matrices, places, shifts, inverses, ...queue] = scratch.map((tensor) =>
    engine.bufferOf(tensor)
  );
  engine.write(scratch[1], new Float32Array(table.buffer));
  engine.write(
    scratch[2],
    Float32Array.from(members, ({ shift }) => typeof shift === "number" ? shift : 0),
  );
  if (inSubgroup) {
    engine.write(scratch[4], new Float32Array(Uint32Array.of(0, members.length).buffer));
  }
  const states = engine.emptyTensor([members.length, STATE_WORDS]);

  const recording = engine.record("linalg.small-inverse");
  const copy = (source: GPUBuffer, from: number, target: GPUBuffer, to: number, size: number) =>
    recording.copy({
      source,
      sourceAt: FLOAT_BYTES * from,
      target,
      targetAt: FLOAT_BYTES * to,
      bytes: FLOAT_BYTES * size,
    });
  for (const { tensor, from, size, at } of sources) {
    copy(engine.bufferOf(tensor), from, matrices, at, size);
  }
  for (const { member: { shift, index }, first, length } of stretches) {
    if (typeof shift !== "number") copy(engine.bufferOf(shift), index, shifts, first, length);
  }
  recording.dispatch(kernelOf(side, inSubgroup), {
    buffers: [matrices, places, shifts, inverses, engine.bufferOf(states), ...queue],
    workgroups: [members.length],
  });
  for (const { tensor, from, size, at } of results) {
    copy(inverses, at, engine.bufferOf(tensor), from, size);
  }
  recording.submit();
  dispose(scratch);
  return states;
}

/** Part of a tensor, and where it is in the buffer of a batch; in elements. */
interface Place {
  readonly tensor: Tensor;
  readonly from: number;
  readonly size: number;
  readonly at: number;
}

/** Parts of tensors, one after the other in one buffer; each once, however often it is asked for. */
class Places {
  size = 0;
  readonly #places = new Map<string, Place>();

  /** @returns the element at which the part starts. */
  place(tensor: Tensor, from: number, size: number): number {
    const key = `${tensor.id} ${from} ${size}`;
    let place = this.#places.get(key);
    if (place === undefined) {
      this.#places.set(key, place = { tensor, from, size, at: this.size });
      this.size += size;
    }
    return place.at;
  }

  [Symbol.iterator](): Iterator<Place> {
    return this.#places.values();
  }
}
