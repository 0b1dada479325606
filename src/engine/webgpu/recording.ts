/**
 * Many dispatches in one compute pass, and copies between.
 *
 * A dispatch costs the host about a microsecond this way, against 25 to 66 for a TensorFlow.js
 * operation: bind groups are cached, and each dispatch's uniforms are a slot of one buffer, chosen
 * by a dynamic offset. Dispatches of a pass run in order, each seeing what those before it wrote.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { type Kernel, type Pipelines, UNIFORM_SLOT_BYTES } from "./kernel.ts";
import type { Tuning } from "./tuning.ts";

/**
 * A kernel's uniform block: its `u32` fields, then its `f32` fields, in the order of the struct.
 */
export interface Uniforms {
  readonly u32?: readonly number[];
  readonly f32?: readonly number[];
}

export interface Dispatch {
  /** One a binding of the kernel, in order. */
  readonly buffers: readonly GPUBuffer[];
  readonly uniforms?: Uniforms;
  /** Workgroups along x, y, z; 1 where absent. Or a buffer that holds the three counts. */
  readonly workgroups: readonly number[] | IndirectCounts;
}

/** Workgroup counts that a kernel wrote: three u32 at a byte offset. */
export interface IndirectCounts {
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

const UNIFORM_WORDS = UNIFORM_SLOT_BYTES / 4;

/**
 * Past this the cache is dropped: buffers come and go with tensors, and a bind group keeps its
 * buffers alive.
 */
const MAX_BIND_GROUPS = 4096;

/** Bind groups and the uniform buffer, shared by the recordings of a device. */
export class DispatchResources {
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  readonly #bufferIds = new WeakMap<GPUBuffer, number>();
  #nextBufferId = 0;
  #uniforms: GPUBuffer;

  constructor(readonly device: GPUDevice, readonly pipelines: Pipelines) {
    this.#uniforms = this.#uniformBuffer(1024);
  }

  /**
   * The uniform buffer with these slots in it. Written in queue order, so one buffer serves all
   * recordings.
   */
  writeUniforms(words: Uint32Array<ArrayBuffer>): GPUBuffer {
    const slots = words.length / UNIFORM_WORDS;
    if (words.byteLength > this.#uniforms.size) {
      this.#uniforms.destroy();
      this.forgetBuffers();
      this.#uniforms = this.#uniformBuffer(2 ** Math.ceil(Math.log2(slots)));
    }
    if (slots > 0) this.device.queue.writeBuffer(this.#uniforms, 0, words); // Deno 2.9.6 panics on an empty write
    return this.#uniforms;
  }

  bindGroup(kernel: Kernel, buffers: readonly GPUBuffer[], uniforms: GPUBuffer): GPUBindGroup {
    const { id, layout } = this.pipelines.of(kernel);
    let key = `${id}`;
    for (const buffer of buffers) key += `,${this.#idOf(buffer)}`;

    let group = this.#bindGroups.get(key);
    if (group === undefined) {
      if (this.#bindGroups.size >= MAX_BIND_GROUPS) this.forgetBuffers();
      const entries: GPUBindGroupEntry[] = buffers.map((buffer, binding) => ({
        binding,
        resource: { buffer },
      }));
      if (kernel.hasUniforms ?? true) {
        entries.push({
          binding: buffers.length,
          resource: { buffer: uniforms, size: UNIFORM_SLOT_BYTES },
        });
      }
      group = this.device.createBindGroup({ label: kernel.label, layout, entries });
      this.#bindGroups.set(key, group);
    }
    return group;
  }

  /** Lets go of all bind groups, and so of buffers that were destroyed. */
  forgetBuffers(): void {
    this.#bindGroups.clear();
  }

  #idOf(buffer: GPUBuffer): number {
    let id = this.#bufferIds.get(buffer);
    if (id === undefined) this.#bufferIds.set(buffer, id = this.#nextBufferId++);
    return id;
  }

  #uniformBuffer(slots: number): GPUBuffer {
    return this.device.createBuffer({
      label: "engine.uniforms",
      size: slots * UNIFORM_SLOT_BYTES,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
  }
}

/** Bytes copied from one buffer to another. */
export interface Copy {
  readonly source: GPUBuffer;
  readonly sourceAt: number;
  readonly target: GPUBuffer;
  readonly targetAt: number;
  readonly bytes: number;
}

/** Dispatches and copies, submitted together or in parts. */
export class Recording {
  readonly #steps: (Copy | { kernel: Kernel; dispatch: Dispatch; slot: number })[] = [];
  readonly #uniforms: (Uniforms | undefined)[] = [];

  /**
   * @param handOver submits what others have recorded for the same queue, so that order is kept.
   */
  constructor(
    private readonly label: string,
    /** Of the device it runs on. */
    readonly tuning: Tuning,
    private readonly resources: DispatchResources,
    private readonly handOver: () => void,
  ) {}

  /** @throws CurvdError `too-large-to-fit` for more workgroups along an axis than the device takes. */
  dispatch(kernel: Kernel, dispatch: Dispatch): void {
    const { buffers, workgroups } = dispatch;
    if (buffers.length !== kernel.bindings.length) {
      throw new TypeError(
        `${kernel.label} binds ${kernel.bindings.length} buffers: ` +
          `current value is ${buffers.length}`,
      );
    }
    if (!("buffer" in workgroups)) {
      if (workgroups.some((count) => count === 0)) return;
      const limit = this.resources.device.limits.maxComputeWorkgroupsPerDimension;
      if (workgroups.some((count) => count > limit)) {
        throw new CurvdError(
          "too-large-to-fit",
          `Cannot dispatch ${kernel.label} over [${workgroups}] workgroups ` +
            `as the device takes ${limit}`,
          { value: workgroups, limit },
        );
      }
    }
    this.#steps.push({ kernel, dispatch, slot: this.#uniforms.length });
    this.#uniforms.push(dispatch.uniforms);
  }

  /** Cheaper than a dispatch where bytes stay as they are. */
  copy(copy: Copy): void {
    this.#steps.push(copy);
  }

  /** Hands what was recorded to the queue; returns before it has run. More may be recorded after. */
  submit(): void {
    const { device, pipelines } = this.resources;
    this.handOver();
    const steps = this.#steps.splice(0);
    const blocks = this.#uniforms.splice(0);
    if (steps.length === 0) return;
    const uniforms = this.resources.writeUniforms(wordsOf(blocks));
    const encoder = device.createCommandEncoder({ label: this.label });
    let pass: GPUComputePassEncoder | undefined;
    let last: { kernel: Kernel; buffers: readonly GPUBuffer[]; group: GPUBindGroup } | undefined;
    for (const step of steps) {
      if ("bytes" in step) {
        pass?.end();
        pass = last = undefined;
        const { source, sourceAt, target, targetAt, bytes } = step;
        encoder.copyBufferToBuffer(source, sourceAt, target, targetAt, bytes);
        continue;
      }
      const { kernel, dispatch: { buffers, workgroups }, slot } = step;
      pass ??= encoder.beginComputePass({ label: this.label });
      if (kernel !== last?.kernel) pass.setPipeline(pipelines.of(kernel).pipeline);
      const group = kernel === last?.kernel && buffers === last.buffers
        ? last.group
        : this.resources.bindGroup(kernel, buffers, uniforms);
      last = { kernel, buffers, group };
      pass.setBindGroup(0, group, kernel.hasUniforms ?? true ? [slot * UNIFORM_SLOT_BYTES] : []);
      if ("buffer" in workgroups) {
        pass.dispatchWorkgroupsIndirect(workgroups.buffer, workgroups.offset);
      } else {
        const [x, y = 1, z = 1] = workgroups;
        pass.dispatchWorkgroups(x, y, z);
      }
    }
    pass?.end();
    device.queue.submit([encoder.finish()]);
  }
}

/** A slot for each block. */
function wordsOf(blocks: readonly (Uniforms | undefined)[]): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(blocks.length * UNIFORM_WORDS);
  const floats = new Float32Array(words.buffer);
  blocks.forEach(({ u32 = [], f32 = [] } = {}, slot) => {
    words.set(u32, slot * UNIFORM_WORDS);
    floats.set(f32, slot * UNIFORM_WORDS + u32.length);
  });
  return words;
}
