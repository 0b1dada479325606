/**
 * An inference request as a safetensors document.
 *
 *   head (JSON) · binary tensors   →   safetensors header · tensors sent as JSON · binary tensors
 *
 * Both formats end with the tensors' bytes one after another, so those need not be looked at: the
 * head becomes a header, and whatever follows it in the body follows the header.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { parseJson } from "../decode_document.ts";
import { isRecord, pointerTo } from "../document.ts";
import type { Parts } from "../encode_document.ts";
import { checkJsonLimits } from "../json_limits.ts";
import { readNested } from "../nested.ts";
import { type DeclaredTensor, encodeHeader } from "../safetensors.ts";
import { validate } from "../validate.ts";
import { DTYPES, InferenceRequest } from "./message.ts";

/** How the answer is to be written. */
export interface InferenceForm {
  readonly id?: string;
  /** The tensors asked for, in their order; all where absent. */
  readonly outputs?: readonly { readonly name: string; readonly isBinary: boolean }[];
  /** Whether a tensor that nothing was said of goes as bytes. */
  readonly isBinary: boolean;
}

/** An inference request in the native calls' terms. */
export interface InferenceDocument {
  /** The file up to the bytes that follow the head in the request's body. */
  readonly start: Parts;
  readonly form: InferenceForm;
}

type Input = InferenceRequest["inputs"][number];

/**
 * Reads a request's JSON.
 *
 * Whether the bytes that follow are as many as it declares is for the safetensors decoder to say.
 *
 * @throws CurvdError `malformed-body`, `body-too-large`, `invalid-request`, `invalid-tensor`.
 */
export function readInferenceHead(head: Uint8Array): InferenceDocument {
  checkJsonLimits(head);
  const request = validate(InferenceRequest, parseJson(head));
  const { document, binary_data_output: isBinary = false, ...fields } = request.parameters ?? {};
  const form = {
    id: request.id,
    outputs: request.outputs?.map(({ name, parameters }) => ({
      name,
      isBinary: parameters?.binary_data ?? isBinary,
    })),
    isBinary,
  };
  const metadata = { document: JSON.stringify(documentOf(fields, document)) };
  return { start: fileStart(metadata, request.inputs), form };
}

/** Header, then the bytes of the tensors that came as JSON. */
function fileStart(metadata: Record<string, string>, inputs: readonly Input[]): Parts {
  refuseTwice(inputs);
  const printed: [string, DeclaredTensor][] = [];
  const binary: [string, DeclaredTensor][] = [];
  const parts: Parts = [];
  for (const [index, input] of inputs.entries()) {
    const { name, shape, datatype, data, parameters } = input;
    if (data === undefined) {
      const byteLength = parameters?.binary_data_size ?? 0;
      binary.push([name, { dtype: DTYPES[datatype], shape, byteLength }]);
      continue;
    }
    const tensor = readData({ ...input, data }, pointerTo("inputs", index, "data"));
    const { buffer, byteOffset, byteLength } = tensor.data;
    printed.push([name, { dtype: tensor.dtype, shape, byteLength }]);
    parts.push(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return [encodeHeader(metadata, [...printed, ...binary]), ...parts];
}

function refuseTwice(inputs: readonly Input[]): void {
  const names = new Set<string>();
  for (const [index, { name }] of inputs.entries()) {
    if (names.has(name)) {
      throw new CurvdError("invalid-request", `The input "${name}" appears twice`, {
        pointer: pointerTo("inputs", index, "name"),
        value: name,
      });
    }
    names.add(name);
  }
}

/** A tensor sent as JSON, flat or nested: F32 or I32, as in a JSON document. */
function readData(
  { name, shape, datatype, data }: Input & { data: unknown[] },
  pointer: string,
) {
  const isInteger = !["F64", "F32", "F16", "BF16"].includes(DTYPES[datatype]);
  const isNested = Array.isArray(data[0]);
  const tensor = readNested(isNested ? data : { shape, data }, pointer, isInteger);
  if (tensor.shape.join() !== shape.join()) {
    throw new CurvdError(
      "invalid-tensor",
      `Input "${name}" declares shape [${shape}], its data has [${tensor.shape}]`,
      { pointer, value: tensor.shape, limit: shape },
    );
  }
  return tensor;
}

/** Everything of the document that is no tensor. */
function documentOf(
  fields: Record<string, unknown>,
  text: string | undefined,
): Record<string, unknown> {
  if (text === undefined) return fields;
  const bytes = new TextEncoder().encode(text);
  checkJsonLimits(bytes);
  const document = parseJson(bytes);
  const pointer = pointerTo("parameters", "document");
  if (!isRecord(document)) {
    throw new CurvdError("invalid-request", "A document is an object", { pointer });
  }
  for (const field of Object.keys(fields)) {
    if (Object.hasOwn(document, field)) {
      throw new CurvdError(
        "invalid-request",
        `"${field}" is given both in parameters and in parameters.document`,
        { pointer, value: field },
      );
    }
  }
  return { ...fields, ...document };
}
