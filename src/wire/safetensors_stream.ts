/**
 * A safetensors file read as it comes: the header first, then a tensor at a time.
 *
 * Memory holds one tensor and what the network handed over, whatever the file's length.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { locating, splitName } from "./document.ts";
import { ITEM_BYTES, readElements } from "./dtypes.ts";
import { headerLength, LENGTH_BYTES, readLayout, type SafetensorsLayout } from "./safetensors.ts";
import { malformed } from "./safetensors_header.ts";
import type { Dtype, WireTensor } from "./tensor.ts";

/** Bytes as they come, given out in whatever lengths are asked for. */
class Reader {
  #chunk: Uint8Array = new Uint8Array();
  #taken = 0;
  readonly #chunks: AsyncIterator<Uint8Array>;

  constructor(chunks: AsyncIterable<Uint8Array>, private readonly maxBytes: number) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Fills an array. @throws CurvdError `malformed-body` where the file ends before. */
  async fill(target: Uint8Array): Promise<void> {
    for (let filled = 0; filled < target.length;) {
      if (this.#chunk.length === 0 && !await this.#next()) {
        throw malformed("The file is cut off", this.#taken);
      }
      const part = this.#chunk.subarray(0, target.length - filled);
      target.set(part, filled);
      filled += part.length;
      this.#taken += part.length;
      this.#chunk = this.#chunk.subarray(part.length);
    }
  }

  /** @throws CurvdError `malformed-body` where there is more. */
  async expectEnd(): Promise<void> {
    while (this.#chunk.length === 0) if (!await this.#next()) return;
    throw malformed("The file goes on after its last tensor", this.#taken);
  }

  async #next(): Promise<boolean> {
    const { value, done } = await this.#chunks.next();
    if (done) return false;
    this.#chunk = value;
    const bytes = this.#taken + value.length;
    if (bytes <= this.maxBytes) return true;
    throw new CurvdError("body-too-large", `A body may have ${this.maxBytes} bytes`, {
      value: bytes,
      limit: this.maxBytes,
    });
  }
}

export interface StreamLimits {
  readonly maxBytes: number;
  readonly maxHeaderBytes: number;
}

/** A file that is being read. */
export interface SafetensorsStream {
  readonly layout: SafetensorsLayout;
  /** The tensors in the order of the file, to be read once. @throws CurvdError as {@linkcode readLayout}. */
  tensors(): AsyncGenerator<[name: string, tensor: WireTensor]>;
}

/**
 * Reads a file's header; its tensors may follow.
 *
 * @param length of the whole file, where that is known before its end.
 * @throws CurvdError `malformed-body`, `invalid-tensor`, `body-too-large`.
 */
export async function openSafetensors(
  chunks: AsyncIterable<Uint8Array>,
  { maxBytes, maxHeaderBytes }: StreamLimits,
  length?: number,
): Promise<SafetensorsStream> {
  const reader = new Reader(chunks, maxBytes);
  const start = new Uint8Array(LENGTH_BYTES);
  await reader.fill(start);
  const head = new Uint8Array(LENGTH_BYTES + headerLength(start, maxHeaderBytes));
  head.set(start);
  await reader.fill(head.subarray(LENGTH_BYTES));
  const layout = readLayout(head, { maxHeaderBytes, fileBytes: length ?? "as declared" });
  return { layout, tensors: () => tensorsOf(layout, reader) };
}

async function* tensorsOf({ entries }: SafetensorsLayout, reader: Reader) {
  const inOrder = [...entries].sort(([, a], [, b]) =>
    a.offsets[0] - b.offsets[0] || a.offsets[1] - b.offsets[1]
  );
  for (const [name, { shape, offsets: [begin, end], ...entry }] of inOrder) {
    const dtype = entry.dtype as Dtype;
    const bytes = new Uint8Array(end - begin);
    await reader.fill(bytes);
    const { layer, field } = splitName(name);
    const data = locating(
      layer,
      field,
      () => readElements(dtype, bytes.buffer, 0, bytes.length / ITEM_BYTES[dtype]),
    );
    yield [name, { dtype, shape, data }] as [string, WireTensor];
  }
  await reader.expectEnd();
}
