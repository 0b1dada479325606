/**
 * Reading buffers back to the host.
 *
 * `mapAsync` in Deno waits for the GPU in the call itself, maps the buffer, and then sleeps ten
 * milliseconds before its promise resolves. A staging buffer whose promise has resolved once may be
 * read right after the call (0.07 ms for a small one); on a fresh buffer the same read panics the
 * process, because a field is set only when the first promise resolves. This rests on the inside of
 * one version of Deno (`ext/webgpu/buffer.rs`), so the short way is taken only for {@linkcode
 * PROVEN_VERSIONS}, each proven by a test in a child process; any other host awaits.
 *
 * @module
 */

/** Versions of Deno in which a primed buffer was proven to be readable right after `mapAsync`. */
export const PROVEN_VERSIONS: readonly string[] = ["2.9.6"];

/** Buffers kept for later reads, in bytes together. */
const KEPT_BYTES = 512 * 2 ** 20;

const SMALLEST_BYTES = 64 * 1024;

/** A ring of staging buffers; each is awaited at its first read and quick from then on. */
export class StagingRing {
  readonly #primed: GPUBuffer[] = [];
  #keptBytes = 0;

  constructor(
    readonly device: GPUDevice,
    private readonly isProven = PROVEN_VERSIONS.includes(denoVersion()),
  ) {}

  /**
   * Reads `bytes` that `copy` writes to the start of a staging buffer.
   * @param take copies out of the mapped bytes, which are gone when it returns.
   */
  async read<T>(
    bytes: number,
    copy: (target: GPUBuffer) => void,
    take: (mapped: ArrayBuffer) => T,
  ): Promise<T> {
    const primed = this.#take(bytes);
    const buffer = primed ?? this.#create(bytes);
    copy(buffer);
    const mapped = buffer.mapAsync(GPUMapMode.READ, 0, bytes);
    if (primed === undefined || !this.isProven) {
      try {
        await mapped;
      } catch (error) {
        buffer.destroy();
        throw error;
      }
      const taken = take(buffer.getMappedRange(0, bytes));
      buffer.unmap();
      this.#keep(buffer);
      return taken;
    }
    let isTaken = false;
    mapped.then(() => {
      buffer.unmap(); // throws where the device went in the meantime
      if (isTaken) this.#keep(buffer);
      else buffer.destroy();
    }).catch(() => buffer.destroy());
    const taken = take(buffer.getMappedRange(0, bytes)); // throws where the device is gone
    isTaken = true;
    return taken;
  }

  destroy(): void {
    for (const buffer of this.#primed.splice(0)) buffer.destroy();
    this.#keptBytes = 0;
  }

  /** A primed buffer of the size class: a larger one would be held up by a small read. */
  #take(bytes: number): GPUBuffer | undefined {
    const size = this.#sizeClass(bytes);
    const index = this.#primed.findIndex((buffer) => buffer.size === size);
    if (index < 0) return undefined;
    const [buffer] = this.#primed.splice(index, 1);
    this.#keptBytes -= buffer.size;
    return buffer;
  }

  /** Powers of two, so that few sizes serve all reads; the largest is what the device has buffers of. */
  #sizeClass(bytes: number): number {
    const size = Math.max(SMALLEST_BYTES, 2 ** Math.ceil(Math.log2(bytes)));
    return Math.min(size, this.device.limits.maxBufferSize);
  }

  #create(bytes: number): GPUBuffer {
    return this.device.createBuffer({
      label: "engine.staging",
      size: this.#sizeClass(bytes),
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
  }

  #keep(buffer: GPUBuffer): void {
    if (this.#keptBytes + buffer.size > KEPT_BYTES) {
      buffer.destroy();
      return;
    }
    this.#primed.push(buffer);
    this.#keptBytes += buffer.size;
  }
}

function denoVersion(): string {
  return (globalThis as { Deno?: { version: { deno: string } } }).Deno?.version.deno ?? "";
}
