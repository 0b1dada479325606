/**
 * A safetensors file read the slow way, for decoders to be held against: `JSON.parse` for the header,
 * a `DataView` and the definition of each dtype for the values.
 *
 * @module
 */
import type { Dtype, WireTensor } from "../../src/wire/mod.ts";

type Read = (view: DataView, at: number) => number;

/** A 16-bit float by its definition, (−1)ˢ·2ᵉ⁻ᵇⁱᵃˢ·(1 + m/2ᵏ). */
function half(bits: number, exponentBits: number): number {
  const fractionBits = 15 - exponentBits;
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> fractionBits) & (2 ** exponentBits - 1);
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0
    ? sign * fraction * 2 ** (1 - bias)
    : sign * (1 + fraction) * 2 ** (exponent - bias);
}

const READ: Record<Dtype, [bytes: number, read: Read]> = {
  F64: [8, (view, at) => view.getFloat64(at, true)],
  F32: [4, (view, at) => view.getFloat32(at, true)],
  F16: [2, (view, at) => half(view.getUint16(at, true), 5)],
  BF16: [2, (view, at) => half(view.getUint16(at, true), 8)],
  I64: [8, (view, at) => Number(view.getBigInt64(at, true))],
  I32: [4, (view, at) => view.getInt32(at, true)],
  U32: [4, (view, at) => view.getUint32(at, true)],
};

interface Entry {
  dtype: Dtype;
  shape: number[];
  data_offsets: [number, number];
}

/** The tensors of a file that is right, by name. */
export function readNaively(file: Uint8Array<ArrayBuffer>): Map<string, WireTensor> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start)));
  delete header.__metadata__;
  const entries = Object.entries(header as Record<string, Entry>);
  return new Map(entries.map(([name, { dtype, shape, data_offsets: [begin, end] }]) => {
    const [bytes, readAt] = READ[dtype];
    const values = Array.from(
      { length: (end - begin) / bytes },
      (_, index) => readAt(view, start + begin + index * bytes),
    );
    const data = /^[IU]/.test(dtype) ? Int32Array.from(values) : Float32Array.from(values);
    return [name, { dtype, shape, data }] as const;
  }));
}
