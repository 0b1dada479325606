/**
 * The safetensors codec.
 *
 *   8 bytes: header length N, little-endian · N bytes: header · the tensors' bytes, without gaps
 *
 * The decoder is stricter than the reference reader: whatever it takes has exactly one meaning. The
 * encoder starts the data at a multiple of 64 bytes, so that a reader can map any dtype.
 *
 * Source: safetensors format, huggingface/safetensors, `safetensors/src/tensor.rs`.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { locating, splitName } from "./document.ts";
import { isView, ITEM_BYTES, readElements } from "./dtypes.ts";
import { type Header, type HeaderEntry, malformed, parseHeader } from "./safetensors_header.ts";
import type { Dtype, WireTensor } from "./tensor.ts";

/** Most bytes of a header. */
export const MAX_HEADER_BYTES = 2 ** 20;
/** Most tensors of a file. */
export const MAX_TENSORS = 16_384;

/** Of the number that tells the header's length. */
export const LENGTH_BYTES = 8;
const DATA_ALIGNMENT = 64;

/** A file, read: strings by key, tensors by name. */
export interface SafetensorsFile {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, WireTensor>;
}

/** A checked header and where the data begins. */
export interface SafetensorsLayout extends Header {
  readonly dataStart: number;
}

export interface LayoutOptions {
  readonly maxHeaderBytes?: number;
  /** Of the whole file, where only its beginning is here; `as declared`: what the header says. */
  readonly fileBytes?: number | "as declared";
}

/**
 * Reads and checks a file's header; the data is not touched.
 *
 * @param file the file, or at least its header.
 * @throws CurvdError `malformed-body` with the byte `offset` of the fault; `invalid-tensor` for a
 * dtype that the format has but curvd does not take.
 */
export function readLayout(
  file: Uint8Array<ArrayBuffer>,
  { maxHeaderBytes = MAX_HEADER_BYTES, fileBytes = file.length }: LayoutOptions = {},
): SafetensorsLayout {
  const dataStart = LENGTH_BYTES + headerLength(file, maxHeaderBytes);
  if (dataStart > file.length) {
    throw malformed(
      `The header should end at byte ${dataStart}, the file is cut off`,
      file.length,
      { value: file.length, limit: dataStart },
    );
  }
  const header = parseHeader(file, LENGTH_BYTES, dataStart);
  const declared = [...header.entries.values()].map(({ offsets }) => offsets[1]);
  const dataBytes = fileBytes === "as declared"
    ? declared.reduce((most, end) => Math.max(most, end), 0)
    : fileBytes - dataStart;
  checkEntries(header, dataStart, dataBytes);
  return { ...header, dataStart };
}

/** The length of a file's header. @throws CurvdError `malformed-body` where it is too long, or not even that is there. */
export function headerLength(file: Uint8Array<ArrayBuffer>, maxHeaderBytes: number): number {
  if (file.length < LENGTH_BYTES) {
    throw malformed(
      `A safetensors file has at least 8 bytes, this has ${file.length}`,
      file.length,
    );
  }
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const headerBytes = Number(view.getBigUint64(0, true));
  if (headerBytes <= maxHeaderBytes) return headerBytes;
  throw malformed(`The header may have ${maxHeaderBytes} bytes, not ${headerBytes}`, 0, {
    value: headerBytes,
    limit: maxHeaderBytes,
  });
}

/** Whether decoding is free: every tensor can be used where it lies. */
export function isViewable({ entries, dataStart }: SafetensorsLayout): boolean {
  return [...entries.values()].every(({ dtype, offsets }) =>
    isView(dtype as Dtype, dataStart + offsets[0])
  );
}

/**
 * Decodes a file; F32 and I32 tensors are views of it where aligned.
 *
 * @throws CurvdError as {@linkcode readLayout}, and `invalid-tensor` for an integer beyond int32.
 */
export function decodeSafetensors(
  file: Uint8Array<ArrayBuffer>,
  layout: SafetensorsLayout = readLayout(file),
): SafetensorsFile {
  const tensors = new Map<string, WireTensor>();
  for (const [name, { shape, offsets, ...entry }] of layout.entries) {
    const dtype = entry.dtype as Dtype;
    const begin = file.byteOffset + layout.dataStart + offsets[0];
    const length = (offsets[1] - offsets[0]) / ITEM_BYTES[dtype];
    const { layer, field } = splitName(name);
    const data = locating(layer, field, () => readElements(dtype, file.buffer, begin, length));
    tensors.set(name, { dtype, shape, data });
  }
  return { metadata: layout.metadata, tensors };
}

/** Each tensor's bytes against its shape, then all of them against the data: no gap, no overlap. */
function checkEntries({ entries }: Header, dataStart: number, dataBytes: number): void {
  if (entries.size > MAX_TENSORS) {
    throw malformed(`A file may hold ${MAX_TENSORS} tensors, not ${entries.size}`, LENGTH_BYTES, {
      value: entries.size,
      limit: MAX_TENSORS,
    });
  }
  for (const [name, entry] of entries) checkSize(name, entry, dataBytes);

  let end = 0;
  const byBegin = [...entries].sort(([, a], [, b]) =>
    a.offsets[0] - b.offsets[0] || a.offsets[1] - b.offsets[1]
  );
  for (const [name, { offsets: [begin, next], at }] of byBegin) {
    if (begin !== end) {
      const fault = begin < end ? "overlaps the tensor before it" : "leaves a gap before it";
      throw malformed(`Tensor "${name}" ${fault}`, at, { tensor: name, value: begin, limit: end });
    }
    end = next;
  }
  if (end !== dataBytes) {
    throw malformed(
      `The tensors end after ${end} bytes of data, the file has ${dataBytes}`,
      dataStart + end,
      { value: dataBytes, limit: end },
    );
  }
}

function checkSize(name: string, { dtype, shape, offsets, at }: HeaderEntry, dataBytes: number) {
  const [begin, end] = offsets;
  if (begin > end || end > dataBytes) {
    throw malformed(`Tensor "${name}" lies at ${begin} to ${end}, outside the data`, at, {
      tensor: name,
      value: [begin, end],
      limit: dataBytes,
    });
  }
  if (!(dtype in ITEM_BYTES)) {
    const offered = Object.keys(ITEM_BYTES);
    const { layer, field } = splitName(name);
    throw new CurvdError(
      "invalid-tensor",
      `Tensor "${name}" has dtype ${dtype}: offered are ${offered.join(", ")}`,
      { layer, tensor: field, value: dtype, limit: offered, offset: at },
    );
  }
  // stops growing past the data, so that no product of sides can pass 2^53
  const bytes = shape.reduce(
    (product, side) => side === 0 || product <= dataBytes ? product * side : product,
    ITEM_BYTES[dtype as Dtype],
  );
  if (bytes !== end - begin) {
    throw malformed(
      `Tensor "${name}" of shape [${shape}] in ${dtype} does not fill ${end - begin} bytes`,
      at,
      { tensor: name, value: shape, limit: end - begin },
    );
  }
}

/** A tensor as a header declares it, its bytes being `dtype`'s already. */
export interface DeclaredTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly byteLength: number;
}

/** A tensor to be written. */
export interface EncodedTensor extends Omit<DeclaredTensor, "byteLength"> {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Encodes a file as the parts to be sent one after another: header, then each tensor, uncopied.
 *
 * Tensors go in the order of their element size, largest first, so that each lies aligned.
 */
export function encodeSafetensors(
  metadata: Readonly<Record<string, string>>,
  tensors: ReadonlyMap<string, EncodedTensor>,
): Uint8Array<ArrayBuffer>[] {
  const ordered = [...tensors].sort(([, a], [, b]) => ITEM_BYTES[b.dtype] - ITEM_BYTES[a.dtype]);
  const declared = ordered.map(([name, { bytes, ...tensor }]) =>
    [name, { ...tensor, byteLength: bytes.byteLength }] as const
  );
  return [encodeHeader(metadata, declared), ...ordered.map(([, { bytes }]) => bytes)];
}

/** The header of a file whose data is these tensors' bytes, in this order. */
export function encodeHeader(
  metadata: Readonly<Record<string, string>>,
  tensors: Iterable<readonly [name: string, DeclaredTensor]>,
): Uint8Array<ArrayBuffer> {
  let end = 0;
  const entries = [...tensors].map(([name, { dtype, shape, byteLength }]) => {
    const begin = end;
    end += byteLength;
    return [name, { dtype, shape, data_offsets: [begin, end] }] as const;
  });
  const json = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) });
  return frameHeader(new TextEncoder().encode(json));
}

/** Length and header, padded with blanks so that the data starts at a multiple of 64 bytes. */
function frameHeader(json: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = Math.ceil((LENGTH_BYTES + json.length) / DATA_ALIGNMENT) * DATA_ALIGNMENT;
  const framed = new Uint8Array(bytes).fill(0x20);
  new DataView(framed.buffer).setBigUint64(0, BigInt(bytes - LENGTH_BYTES), true);
  framed.set(json, LENGTH_BYTES);
  return framed;
}
