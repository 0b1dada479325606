/**
 * Documents to bodies, in either encoding (api.md, section 1).
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { joinName, mapTensors, tensorsOf } from "./document.ts";
import { type FloatDtype, readElements, writeElements } from "./dtypes.ts";
import type { Encoding } from "./encoding.ts";
import { SYMMETRIC_FIELDS } from "./fields.ts";
import { writeNested } from "./nested.ts";
import { packedLength, packSymmetric } from "./packed.ts";
import { type EncodedTensor, encodeSafetensors } from "./safetensors.ts";
import type { Output } from "./schema.ts";
import type { Document, WireTensor } from "./tensor.ts";

/** Most numbers of a JSON answer: V8 can print no string longer than 512 MiB. */
export const MAX_ANSWERED_NUMBERS = 2 ** 24;

/** A body as the parts to be sent one after another. */
export type Parts = Uint8Array<ArrayBuffer>[];

/**
 * Encodes an answer.
 *
 * @throws CurvdError `overflow` naming the tensor that does not fit `output.dtype`; `not-finite`;
 * `not-acceptable` for a JSON answer of more than {@linkcode MAX_ANSWERED_NUMBERS}.
 */
export function encodeDocument(document: Document, encoding: Encoding, output: Output): Parts {
  if (encoding === "json") return [encodeJson(document, output)];

  const tensors = new Map<string, EncodedTensor>();
  const rest = mapTensors(document, (tensor, field, layer) => {
    tensors.set(joinName(layer, field), encodeTensor(packed(tensor, field, output), output.dtype));
    return undefined; // which JSON.stringify leaves out
  });
  return encodeSafetensors({ document: JSON.stringify(rest) }, tensors);
}

/** JSON has no dtypes: values are rounded to the one asked for, then written as float32. */
function encodeJson(document: Document, output: Output): Uint8Array<ArrayBuffer> {
  const numbers = tensorsOf(document).reduce((sum, { data }) => sum + data.length, 0);
  if (numbers > MAX_ANSWERED_NUMBERS) throw tooManyNumbers(numbers);
  const plain = mapTensors(
    document,
    (tensor, field) => writeNested(rounded(packed(tensor, field, output), output.dtype)),
  );
  return new TextEncoder().encode(JSON.stringify(plain));
}

function rounded(tensor: WireTensor, dtype: FloatDtype): WireTensor {
  if (dtype === "F32" || tensor.data instanceof Int32Array) return tensor;
  const bytes = writeElements(dtype, tensor.data);
  return { ...tensor, data: readElements(dtype, bytes.buffer, 0, tensor.data.length) };
}

/** The tensor, or `[…, d, d]` as `[…, d(d+1)/2]` where it is symmetric and packing is asked for. */
function packed(tensor: WireTensor, field: string, { symmetric }: Output): WireTensor {
  const { shape, data } = tensor;
  const [rows, columns] = shape.slice(-2);
  const isSquare = shape.length >= 2 && rows === columns;
  if (symmetric === "full" || !isSquare || !SYMMETRIC_FIELDS.has(field)) return tensor;
  if (data instanceof Int32Array) return tensor;
  const triangles = [...shape.slice(0, -2), packedLength(rows)];
  return { ...tensor, shape: triangles, data: packSymmetric(data, rows) };
}

function encodeTensor({ shape, data }: WireTensor, dtype: FloatDtype): EncodedTensor {
  if (data instanceof Int32Array) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return { dtype: "I32", shape, bytes };
  }
  return { dtype, shape, bytes: writeElements(dtype, data) };
}

function tooManyNumbers(numbers: number): CurvdError {
  return new CurvdError(
    "not-acceptable",
    `A JSON answer holds at most ${MAX_ANSWERED_NUMBERS} numbers, this one has ${numbers}`,
    {
      value: numbers,
      limit: MAX_ANSWERED_NUMBERS,
      suggestion: "accept application/vnd.safetensors",
    },
  );
}
