/**
 * A tensor as it travels: values, shape and the dtype it came in.
 *
 * @module
 */

/** Element types of the wire format; arithmetic is float32, so wider floats were rounded once on entry. */
export type Dtype = "F64" | "F32" | "F16" | "BF16" | "I64" | "I32" | "U32";

/** A leaf of a document. */
export interface WireTensor {
  /** As received (in answers: as computed). It says how far an input may be from exact, see {@linkcode UNIT_ROUNDOFF}. */
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Row-major. Ids are integers, everything else float32. */
  readonly data: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;
}

/** Largest relative error of rounding to a dtype: 2⁻⁵³, 2⁻²⁴, 2⁻¹¹, 2⁻⁸. */
export const UNIT_ROUNDOFF: Readonly<Record<Dtype, number>> = {
  F64: 2 ** -53,
  F32: 2 ** -24,
  F16: 2 ** -11,
  BF16: 2 ** -8,
  I64: 0,
  I32: 0,
  U32: 0,
};

/** Number of elements of a shape; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

/** An answer's tensor. @throws RangeError where the values do not fill the shape. */
export function tensorOf(
  shape: readonly number[],
  data: Float32Array<ArrayBuffer>,
): WireTensor {
  if (sizeOf(shape) !== data.length) {
    throw new RangeError(`Cannot shape ${data.length} values as [${shape}]`);
  }
  return { dtype: "F32", shape, data };
}

/** Whether a document's leaf is a tensor. */
export function isTensor(leaf: unknown): leaf is WireTensor {
  return typeof leaf === "object" && leaf !== null && "data" in leaf &&
    (leaf.data instanceof Float32Array || leaf.data instanceof Int32Array);
}

/** A request or an answer: an object whose leaves may be tensors (api.md, section 1). */
export interface Document {
  layers?: Record<string, Record<string, unknown>>;
  [field: string]: unknown;
}
