/**
 * The element types of the wire, to and from the two that arithmetic uses: float32 and int32.
 *
 * All are little-endian, as is every machine that runs WebGPU.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import type { Dtype, WireTensor } from "./tensor.ts";

/** Bytes an element. */
export const ITEM_BYTES: Readonly<Record<Dtype, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  U32: 4,
};

/** Dtypes that an answer can be written in. */
export type FloatDtype = "F32" | "F16" | "BF16";

/** Whether `bytes` can be used as they lie: no rounding, widening or realignment. */
export function isView(dtype: Dtype, byteOffset: number): boolean {
  return (dtype === "F32" || dtype === "I32") && byteOffset % 4 === 0;
}

/**
 * Reads `length` elements that begin at `byteOffset` of `buffer`.
 *
 * F32 and I32 are views where aligned. F64 is rounded once; what overflows float32 becomes infinite,
 * which {@link firstNonFinite} finds later.
 *
 * @throws CurvdError `invalid-tensor` for an integer beyond int32, with its index and value.
 */
export function readElements(
  dtype: Dtype,
  buffer: ArrayBuffer,
  byteOffset: number,
  length: number,
): WireTensor["data"] {
  const bytes = ITEM_BYTES[dtype];
  const [from, at] = byteOffset % bytes === 0
    ? [buffer, byteOffset]
    : [buffer.slice(byteOffset, byteOffset + length * bytes), 0];

  switch (dtype) {
    case "F32":
      return new Float32Array(from, at, length);
    case "F64":
      return Float32Array.from(new Float64Array(from, at, length));
    case "F16":
      return Float32Array.from(new Float16Array(from, at, length));
    case "BF16":
      return widenBfloat16(new Uint16Array(from, at, length));
    case "I32":
      return new Int32Array(from, at, length);
    case "U32":
      return narrow(new Uint32Array(from, at, length));
    case "I64":
      return narrow(new BigInt64Array(from, at, length));
  }
}

/**
 * Rounds float32 to the dtype of an answer, to nearest even.
 *
 * @returns the bytes; for F32 a view of `data`.
 * @throws CurvdError `overflow` where a finite value has no finite counterpart.
 */
export function writeElements(dtype: FloatDtype, data: Float32Array<ArrayBuffer>) {
  if (dtype === "F32") return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const rounded = dtype === "F16" ? Float16Array.from(data) : roundToBfloat16(data);
  const limit = dtype === "F16" ? F16_OVERFLOW : BF16_OVERFLOW;
  for (let i = 0; i < data.length; i++) {
    if (Math.abs(data[i]) >= limit) throw overflow(dtype, data, i);
  }
  return new Uint8Array(rounded.buffer);
}

/** The least magnitudes that round to infinity: half a step past the largest finite value. */
const F16_OVERFLOW = 65520;
const BF16_OVERFLOW = (2 - 2 ** -8) * 2 ** 127;

function overflow(dtype: FloatDtype, data: Float32Array, index: number): CurvdError {
  const suggestion = dtype === "F16"
    ? 'ask for "BF16" or "F32" in output.dtype'
    : 'ask for "F32" in output.dtype';
  return new CurvdError(
    "overflow",
    `Cannot write value ${
      data[index]
    } (index ${index} of ${data.length}) as ${dtype}: it overflows`,
    {
      value: data[index],
      index,
      size: data.length,
      limit: dtype === "F16" ? 65504 : 3.3895313892515355e38,
      suggestion,
    },
  );
}

/** bfloat16 is the upper half of a float32. */
function widenBfloat16(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16;
  return new Float32Array(bits.buffer);
}

function roundToBfloat16(data: Float32Array<ArrayBuffer>): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const halves = new Uint16Array(data.length);
  for (let i = 0; i < data.length; i++) {
    // half a step less one, plus the last kept bit: ties go to even
    halves[i] = (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) >>> 16;
  }
  return halves;
}

function narrow(integers: Uint32Array | BigInt64Array): Int32Array<ArrayBuffer> {
  const narrowed = new Int32Array(integers.length);
  for (let i = 0; i < integers.length; i++) {
    narrowed[i] = Number(integers[i]);
    if (narrowed[i] !== Number(integers[i])) {
      throw new CurvdError(
        "invalid-tensor",
        `Expected integers of 32 bits with a sign, got ${integers[i]} at index ${i}`,
        { value: Number(integers[i]), index: i, limit: 2 ** 31 - 1 },
      );
    }
  }
  return narrowed;
}
