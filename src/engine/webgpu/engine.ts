/**
 * The WebGPU engine: TensorFlow.js on a device of ours, raw compute passes on the same queue, one
 * wait a read.
 *
 * @module
 */
import {
  dispose,
  engine as tfjs,
  env,
  findBackendFactory,
  memory,
  type Rank,
  registerBackend,
  removeBackend,
  setBackend,
  type Tensor,
  type TensorInfo,
  util,
} from "@tensorflow/tfjs-core";
import { CurvdError } from "@/errors.ts";
import type { Engine, EngineFacts, EngineMemory } from "../engine.ts";
import type { Float64 } from "../float64.ts";
import { openDevice, type OpenedDevice } from "./device.ts";
import { Pipelines } from "./kernel.ts";
import { DispatchResources, Recording } from "./recording.ts";
import { StagingRing } from "./staging.ts";
import { usableSubgroups } from "./subgroups.ts";
import { TensorBackend } from "./tensors.ts";
import { type Tuning, TUNINGS } from "./tuning.ts";

/** Idle buffers of TensorFlow.js above this are destroyed after a read. */
const IDLE_BYTES = 256 * 2 ** 20;

/**
 * Above TensorFlow.js's default WebGPU priority, which is of no consequence as the backend is set
 * by name.
 */
const PRIORITY = 3;

/** What an inverse in one subgroup takes: lanes, and workgroup memory for 120 tiles of 8 × 8. */
const SMALL_INVERSE_LANES = 8, SMALL_INVERSE_BYTES = 120 * 64 * 4;

export interface WebGpuEngineOptions {
  readonly float64: Float64;
  /** Why this engine, for {@linkcode EngineFacts.reason}. */
  readonly reason: string;
  /** Instead of the adapter class's: to measure what the table should say. */
  readonly tuning?: Partial<Tuning>;
}

/** Engines by their backend: a TensorFlow.js kernel is handed the backend alone. */
const engines = new WeakMap<object, WebGpuEngine>();

/** The engine a kernel's backend belongs to. */
export function engineOfBackend(backend: unknown): WebGpuEngine {
  const found = engines.get(backend as object);
  if (found === undefined) throw new TypeError("This backend was not opened by openWebGpuEngine()");
  return found;
}

/**
 * Opens a device and makes it TensorFlow.js's backend.
 * @throws CurvdError `unsupported` where there is no adapter.
 */
export async function openWebGpuEngine(options: WebGpuEngineOptions): Promise<WebGpuEngine> {
  const opened = await openDevice();
  const wanted = { ...TUNINGS[opened.adapter.class], ...options.tuning };
  const areWanted = wanted.subgroups || wanted.smallInverseInSubgroup;
  const subgroups = areWanted ? await usableSubgroups(opened) : null;
  const tuning = {
    ...wanted,
    subgroups: wanted.subgroups && subgroups !== null,
    smallInverseInSubgroup: wanted.smallInverseInSubgroup && subgroups !== null &&
      subgroups.size >= SMALL_INVERSE_LANES &&
      opened.limits.maxComputeWorkgroupStorageSize >= SMALL_INVERSE_BYTES,
  };
  const backend = new TensorBackend(opened.device, opened.adapterInfo);
  // Kernels are registered for the backend's name, so ours takes the place of TensorFlow.js's.
  if (findBackendFactory("webgpu") !== null) removeBackend("webgpu");
  registerBackend("webgpu", () => backend, PRIORITY);
  // Small tensors would be computed on the host in silence, with other bits.
  env().set("WEBGPU_CPU_FORWARD", false);
  if (!await setBackend("webgpu")) {
    throw new CurvdError("internal", "TensorFlow.js did not take the WebGPU backend");
  }
  const engine = new WebGpuEngine(
    opened,
    backend,
    options,
    tuning,
    new Pipelines(opened.device, tuning.subgroups, subgroups?.directive),
  );
  engines.set(backend, engine);
  return engine;
}

export class WebGpuEngine implements Engine {
  readonly kind = "webgpu";
  readonly facts: EngineFacts;
  readonly float64: Float64;
  readonly lost: Promise<string>;
  readonly device: GPUDevice;
  /** Room for the workgroup counts of indirect dispatches. The queue's order makes one enough. */
  readonly indirectCounts: GPUBuffer;

  readonly #errors: OpenedDevice["errors"];
  readonly #resources: DispatchResources;
  readonly #staging: StagingRing;

  constructor(
    opened: OpenedDevice,
    private readonly backend: TensorBackend,
    { float64, reason }: Pick<WebGpuEngineOptions, "float64" | "reason">,
    /** The sizes and forms of kernels that this device runs. */
    readonly tuning: Tuning,
    pipelines: Pipelines,
  ) {
    const { device, adapter, limits, features, errors } = opened;
    this.facts = {
      engine: "webgpu",
      reason,
      adapter,
      tuning: { ...tuning },
      limits,
      features,
      blas: null,
    };
    this.float64 = float64;
    this.device = device;
    this.lost = errors.lost;
    this.#errors = errors;
    this.#resources = new DispatchResources(device, pipelines);
    this.#staging = new StagingRing(device);
    this.indirectCounts = device.createBuffer({
      label: "engine.indirect-counts",
      size: 256,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.INDIRECT,
    });
  }

  /** New work for the queue that TensorFlow.js uses. */
  record(label: string): Recording {
    return new Recording(label, this.tuning, this.#resources, () => this.backend.flush());
  }

  /** The buffer behind a tensor. */
  bufferOf(tensor: TensorInfo): GPUBuffer {
    return this.backend.bufferOf(tensor);
  }

  /** A float32 tensor of unset values. @throws CurvdError `too-large-to-fit`. */
  emptyTensor<R extends Rank>(shape: number[]): Tensor<R> {
    return this.backend.emptyTensor<R>(shape);
  }

  /** As {@linkcode emptyTensor}, as a kernel answers it: TensorFlow.js wraps it itself. */
  emptyInfo(shape: number[]): TensorInfo {
    return this.backend.emptyInfo(shape);
  }

  /** A kernel's result of one value throughout. */
  filledInfo(shape: number[], value: number): TensorInfo {
    const values = new Float32Array(util.sizeFromShape(shape)).fill(value);
    return this.backend.makeTensorInfo(shape, "float32", values);
  }

  /**
   * Overwrites part of a tensor on the device with host values, from element `start`. Of a tensor that was made of host values
   * {@linkcode read} would answer those.
   */
  write(tensor: Tensor, values: Float32Array<ArrayBuffer>, start = 0): void {
    if (values.length === 0) return; // Deno 2.9.6 panics on an empty write
    const buffer = this.backend.bufferOf(tensor);
    this.backend.flush(); // a write takes its place in the queue at once
    this.device.queue.writeBuffer(buffer, start * 4, values);
  }

  async read(tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>[]> {
    this.#errors.throwIfLost();
    const onHost = tensors.map((tensor) => this.backend.hostValues(tensor));
    const onDevice = tensors.filter((tensor, index) =>
      onHost[index] === undefined && tensor.size > 0
    );
    const read = onDevice.length === 0 ? [] : await this.#readDevice(onDevice);
    await this.#errors.check();
    if (this.backend.trimIdle(IDLE_BYTES)) this.#resources.forgetBuffers();
    return tensors.map(({ size }, index) =>
      onHost[index] ?? (size === 0 ? new Float32Array() : read.shift()!)
    );
  }

  async take(tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>[]> {
    const arrays = await this.read(tensors);
    dispose([...tensors]);
    return arrays;
  }

  memory(): EngineMemory {
    const { numTensors } = memory();
    return { tensors: numTensors, bytes: this.backend.memory().numBytesInGPU };
  }

  close(): Promise<void> {
    this.#staging.destroy();
    this.indirectCounts.destroy();
    if (tfjs().backendName === "webgpu" && tfjs().backend === this.backend) removeBackend("webgpu");
    this.device.destroy();
    return Promise.resolve();
  }

  /** Copies all tensors into one staging buffer and waits once; into several where one cannot hold them. */
  async #readDevice(tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>[]> {
    const arrays: Float32Array<ArrayBuffer>[] = [];
    for (const piece of inBuffers(tensors, this.device.limits.maxBufferSize)) {
      arrays.push(...await this.#readTogether(piece));
    }
    return arrays;
  }

  async #readTogether(tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>[]> {
    const buffers = tensors.map((tensor) => this.backend.bufferOf(tensor));
    const starts: number[] = [];
    let bytes = 0;
    for (const { size } of tensors) {
      starts.push(bytes);
      bytes += BYTES_PER_VALUE * size;
    }
    const copy = (target: GPUBuffer) => {
      this.backend.flush();
      const encoder = this.device.createCommandEncoder({ label: "engine.read" });
      buffers.forEach((buffer, index) => {
        const size = BYTES_PER_VALUE * tensors[index].size;
        encoder.copyBufferToBuffer(buffer, 0, target, starts[index], size);
      });
      this.device.queue.submit([encoder.finish()]);
    };
    const take = (mapped: ArrayBuffer) =>
      tensors.map(({ size }, index) => new Float32Array(mapped, starts[index], size).slice());
    try {
      return await this.#staging.read(bytes, copy, take);
    } catch (cause) {
      await new Promise((resolve) => setTimeout(resolve)); // a loss is told in a turn of its own
      await this.#errors.check(); // says why: a lost device, a validation error
      throw new CurvdError("internal", `Cannot read from the GPU: ${cause}`, {}, { cause });
    }
  }
}

const BYTES_PER_VALUE = 4;

/** Tensors in the order given, as many together as a buffer holds. */
export function inBuffers<T extends { readonly size: number }>(
  tensors: readonly T[],
  maxBufferSize: number,
): T[][] {
  const pieces: T[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const bytes = BYTES_PER_VALUE * tensor.size;
    if (bytes > room) {
      pieces.push([]);
      room = maxBufferSize;
    }
    pieces.at(-1)!.push(tensor);
    room -= bytes;
  }
  return pieces;
}
