/**
 * TensorFlow.js's WebGPU backend, opened up: the one file that knows its insides (version 4.22).
 *
 * TensorFlow.js records into an encoder of its own and keeps every buffer it ever made, in one free
 * list for each exact size. Here its tensors get their GPUBuffers out, its recorded work is handed
 * over before ours, sizes are checked before a binding fails in silence, and idle buffers are let
 * go.
 *
 * @module
 */
import { engine, type Rank, type Tensor, type TensorInfo, util } from "@tensorflow/tfjs-core";
import { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import { CurvdError } from "@/errors.ts";

/** What of the backend is not declared public. */
interface Insides {
  commandEncoder: GPUCommandEncoder | null;
  bufferManager: {
    freeBuffers: Map<string, GPUBuffer[]>;
    numFreeBuffers: number;
    numBytesUsed: number;
    numBytesAllocated: number;
  };
}

const BYTES_PER_ELEMENT = 4; // of every dtype the backend stores

export class TensorBackend extends WebGPUBackend {
  /**
   * The buffer behind a tensor; its values are uploaded if they are still on the host.
   *
   * May be longer than the tensor.
   */
  bufferOf(tensor: TensorInfo): GPUBuffer {
    this.uploadToGPU(tensor.dataId);
    return this.tensorMap.get(tensor.dataId).resource as GPUBuffer;
  }

  /** The values of a tensor that never went to the device, or undefined. */
  hostValues(tensor: TensorInfo): Float32Array<ArrayBuffer> | undefined {
    const { values } = this.tensorMap.get(tensor.dataId);
    return values === null || values === undefined
      ? undefined
      : Float32Array.from(values as ArrayLike<number>);
  }

  /**
   * A float32 tensor of unset values, out of the backend's pool: disposal and `tidy` work as usual.
   */
  emptyTensor<R extends Rank>(shape: number[]): Tensor<R> {
    return engine().makeTensorFromTensorInfo(this.emptyInfo(shape)) as Tensor<R>;
  }

  /** As {@linkcode emptyTensor}, for a kernel, whose results the engine wraps itself. */
  emptyInfo(shape: number[]): TensorInfo {
    this.#refuseOversize(shape); // before there is anything to dispose
    const info = this.makeTensorInfo(shape, "float32");
    this.uploadToGPU(info.dataId);
    return info;
  }

  /**
   * Submits what TensorFlow.js has recorded, so that the order of the queue is that of the program.
   */
  flush(): void {
    this.endComputePassEncoder();
    if ((this as unknown as Insides).commandEncoder !== null) this.submitQueue();
  }

  /**
   * Gives a tensor its buffer.
   *
   * Every tensor a kernel touches passes here, so this is where a size is refused: over the limit a
   * binding is invalid and the kernel would leave zeros.
   *
   * @throws CurvdError `too-large-to-fit`.
   */
  override uploadToGPU(dataId: TensorInfo["dataId"]): void {
    const { shape, resource } = this.tensorMap.get(dataId);
    if (resource === undefined || resource === null) this.#refuseOversize(shape);
    super.uploadToGPU(dataId);
  }

  /** Destroys the buffers no tensor uses once they take more than `bytes`. Flush first. */
  trimIdle(bytes: number): boolean {
    const manager = (this as unknown as Insides).bufferManager;
    if (manager.numBytesAllocated - manager.numBytesUsed <= bytes) return false;
    for (const buffers of manager.freeBuffers.values()) {
      for (const buffer of buffers) {
        buffer.destroy();
        manager.numBytesAllocated -= buffer.size;
      }
      manager.numFreeBuffers -= buffers.length;
      buffers.length = 0; // the list itself must stay: the manager counts on it
    }
    return true;
  }

  #refuseOversize(shape: number[]): void {
    const bytes = BYTES_PER_ELEMENT * util.sizeFromShape(shape);
    const { maxStorageBufferBindingSize, maxBufferSize } = this.device.limits;
    const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    if (bytes <= limit) return;
    throw new CurvdError(
      "too-large-to-fit",
      `Cannot hold a tensor of shape [${shape}] as it needs ${bytes} bytes and this device binds ` +
        `at most ${limit}`,
      { value: bytes, limit, shape },
    );
  }
}
