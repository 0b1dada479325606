/**
 * A safetensors answer as an inference answer: a JSON head, then the tensors asked for as bytes.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { locating, splitName } from "../document.ts";
import { ITEM_BYTES, readElements } from "../dtypes.ts";
import type { Parts } from "../encode_document.ts";
import { writeNested } from "../nested.ts";
import { readLayout } from "../safetensors.ts";
import type { HeaderEntry } from "../safetensors_header.ts";
import type { Dtype } from "../tensor.ts";
import { DATATYPES, type InferenceAnswer, MAX_JSON_NUMBERS } from "./message.ts";
import type { InferenceForm } from "./request.ts";

/** An answer's body. */
export interface InferenceBody {
  readonly parts: Parts;
  /** Length of its JSON, where bytes follow. */
  readonly headBytes?: number;
}

/**
 * Writes a call's answer.
 *
 * @param file a safetensors file; the tensors sent as bytes are views of it.
 * @throws CurvdError `invalid-request` for an output that the answer does not have;
 * `not-acceptable` for more numbers as JSON than {@linkcode MAX_JSON_NUMBERS}.
 */
export function writeInferenceAnswer(
  file: Uint8Array<ArrayBuffer>,
  { name: model_name, version: model_version }: { name: string; version: string },
  form: InferenceForm,
): InferenceBody {
  const { metadata, entries, dataStart } = readLayout(file);
  const wanted = form.outputs ??
    [...entries.keys()].map((name) => ({ name, isBinary: form.isBinary }));
  const tail: Parts = [];
  let printed = 0;

  const outputs = wanted.map(({ name, isBinary }): InferenceAnswer["outputs"][number] => {
    const { dtype, shape, offsets } = entryOf(name, entries);
    const [begin, end] = offsets.map((offset) => dataStart + offset);
    const described = { name, shape: [...shape] };
    if (isBinary) {
      tail.push(file.subarray(begin, end));
      const parameters = { binary_data_size: end - begin };
      return { ...described, datatype: DATATYPES[dtype as Dtype], parameters };
    }
    const length = (end - begin) / ITEM_BYTES[dtype as Dtype];
    printed += length;
    if (printed > MAX_JSON_NUMBERS) throw tooManyNumbers();
    const data = readElements(dtype as Dtype, file.buffer, file.byteOffset + begin, length);
    // 16-bit floats have no JSON form in the protocol: what they hold is told as FP32
    const datatype = data instanceof Int32Array ? "INT32" : "FP32";
    return { ...described, datatype, data: printedNumbers(name, data) };
  });

  const answer: InferenceAnswer = {
    model_name,
    model_version,
    ...(form.id === undefined ? {} : { id: form.id }),
    parameters: { document: metadata.get("document") ?? "{}" },
    outputs,
  };
  const head = new TextEncoder().encode(JSON.stringify(answer));
  return { parts: [head, ...tail], ...(tail.length > 0 ? { headBytes: head.length } : {}) };
}

function entryOf(name: string, entries: ReadonlyMap<string, HeaderEntry>): HeaderEntry {
  const entry = entries.get(name);
  if (entry !== undefined) return entry;
  throw new CurvdError("invalid-request", `The answer has no tensor "${name}"`, {
    value: name,
    limit: [...entries.keys()],
  });
}

function printedNumbers(name: string, data: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>) {
  const { layer, field } = splitName(name);
  const flat = { dtype: "F32", shape: [data.length], data } as const;
  return locating(layer, field, () => writeNested(flat)) as unknown[];
}

function tooManyNumbers(): CurvdError {
  return new CurvdError(
    "not-acceptable",
    `Outputs as JSON hold at most ${MAX_JSON_NUMBERS} numbers, these hold more`,
    { limit: MAX_JSON_NUMBERS, suggestion: "ask for them with binary_data: true" },
  );
}
