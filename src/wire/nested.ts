/**
 * Tensors as JSON: nested arrays, or `{"shape": […], "data": […]}`.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { shortestDecimal } from "./digits.ts";
import { MAX_NUMBERS } from "./json_limits.ts";
import { sizeOf, type WireTensor } from "./tensor.ts";

/** Nested arrays of numbers, as deep as the tensor's rank. */
export type Nested = number | Nested[];

/**
 * Reads a tensor from parsed JSON.
 *
 * Its dtype is F32: a decimal is taken to stand for the float32 it rounds to.
 *
 * @param leaf nested arrays, or shape and data.
 * @param pointer RFC 6901 pointer to it, for errors.
 * @param integer whether it holds ids.
 * @throws CurvdError `invalid-tensor` with the pointer to what is ragged or no number.
 */
export function readNested(leaf: unknown, pointer: string, integer: boolean): WireTensor {
  const flat = isShaped(leaf) ? leaf : undefined;
  if (flat === undefined && !Array.isArray(leaf)) {
    throw invalid(leaf, pointer, "Expected nested arrays of numbers or {shape, data}");
  }
  const values: unknown = flat ? flat.data : leaf;
  const sides = flat ? [readShape(flat.shape, `${pointer}/shape`)].flat() : sidesOf(leaf);
  const walked = flat ? [sizeOf(sides)] : sides;
  if (flat && flat.data.length !== sizeOf(sides)) {
    const expected = `Expected ${sizeOf(sides)} numbers for shape [${sides}]`;
    throw invalid(flat.data.length, `${pointer}/data`, expected);
  }

  // A ragged array can claim more than it holds; no body holds more than MAX_NUMBERS.
  const size = Math.min(sizeOf(sides), MAX_NUMBERS);
  const data = integer ? new Int32Array(size) : new Float32Array(size);
  fill(data, 0, values, walked, flat ? `${pointer}/data` : pointer, integer);
  return { dtype: integer ? "I32" : "F32", shape: sides, data };
}

/**
 * Writes a tensor as nested arrays of the decimals to be printed; a scalar is a number.
 *
 * @throws CurvdError `not-finite`: JSON would say null.
 */
export function writeNested({ shape, data }: WireTensor): Nested {
  let next = 0;
  const write = (axis: number): Nested => {
    if (axis === shape.length) return decimalOf(data, next++);
    const elements = new Array<Nested>(shape[axis]);
    for (let i = 0; i < elements.length; i++) elements[i] = write(axis + 1);
    return elements;
  };
  return write(0);
}

function decimalOf(data: WireTensor["data"], index: number): number {
  const value = data[index];
  if (data instanceof Int32Array) return value;
  if (Number.isFinite(value)) return shortestDecimal(value);
  throw new CurvdError("not-finite", `The result is ${value} at index ${index}`, { index });
}

/**
 * Copies nested arrays into `data` from index `at`.
 *
 * @returns the index after the last number copied.
 */
function fill(
  data: Float32Array | Int32Array,
  at: number,
  values: unknown,
  sides: readonly number[],
  pointer: string,
  integer: boolean,
): number {
  const [side, ...inner] = sides;
  if (!Array.isArray(values) || values.length !== side) {
    throw ragged(values, pointer, side);
  }
  for (let i = 0; i < side; i++) {
    if (inner.length > 0) {
      at = fill(data, at, values[i], inner, `${pointer}/${i}`, integer);
      continue;
    }
    const value = values[i];
    if (typeof value !== "number") throw notANumber(value, `${pointer}/${i}`);
    data[at] = value;
    if (integer && data[at] !== value) {
      throw invalid(value, `${pointer}/${i}`, "Expected an integer of 32 bits");
    }
    at++;
  }
  return at;
}

/** The lengths of the first array, of its first element, and so on. */
function sidesOf(leaf: unknown): number[] {
  const sides: number[] = [];
  for (let inner = leaf; Array.isArray(inner); inner = inner[0]) sides.push(inner.length);
  return sides;
}

interface Shaped {
  shape: unknown;
  data: unknown[];
}

function isShaped(leaf: unknown): leaf is Shaped {
  return typeof leaf === "object" && leaf !== null && !Array.isArray(leaf) &&
    Object.keys(leaf).sort().join() === "data,shape" && "data" in leaf && Array.isArray(leaf.data);
}

function readShape(shape: unknown, pointer: string): number[] {
  const isSide = (side: unknown) => Number.isSafeInteger(side) && (side as number) >= 0;
  if (!Array.isArray(shape) || shape.length > 8 || !shape.every(isSide)) {
    throw invalid(shape, pointer, "Expected a shape: a list of at most 8 integers ≥ 0");
  }
  return shape;
}

function ragged(found: unknown, pointer: string, side: number): CurvdError {
  if (!Array.isArray(found)) return notANumber(found, pointer, `an array of ${side}`);
  return invalid(found.length, pointer, `Ragged: expected ${side} elements, got ${found.length}`);
}

function notANumber(found: unknown, pointer: string, expected = "a number"): CurvdError {
  const kind = found === null ? "null" : Array.isArray(found) ? "an array" : typeof found;
  const value = Array.isArray(found) || typeof found === "object" ? undefined : found;
  return invalid(value, pointer, `Expected ${expected}, got ${kind}`);
}

function invalid(value: unknown, pointer: string, message: string): CurvdError {
  const shown = typeof value === "string" ? value.slice(0, 40) : value;
  const facts = typeof value === "object" && value !== null ? {} : { value: shown };
  return new CurvdError("invalid-tensor", `${message} (at ${pointer})`, { ...facts, pointer });
}
