/**
 * Bodies to documents, from either encoding (api.md, section 1).
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { isRecord, joinName, locating, pointerTo, refuseProto, splitName } from "./document.ts";
import type { Encoding } from "./encoding.ts";
import { isIntegerField, TENSOR_FIELDS } from "./fields.ts";
import { jsonFault } from "./json_fault.ts";
import { checkJsonLimits } from "./json_limits.ts";
import { expectOrderKept } from "./key_order.ts";
import { readNested } from "./nested.ts";
import { decodeSafetensors } from "./safetensors.ts";
import type { Document, WireTensor } from "./tensor.ts";

/**
 * Decodes a body into a document whose known tensor fields are tensors; nothing else is checked.
 *
 * @param fields the layers' tensor fields in JSON: a request's, or an answer's.
 * @throws CurvdError `malformed-body`, `body-too-large`, `invalid-tensor`, `invalid-request`.
 */
export function decodeDocument(
  body: Uint8Array<ArrayBuffer>,
  encoding: Encoding,
  fields: ReadonlySet<string> = TENSOR_FIELDS,
): Document {
  if (body.length === 0) throw new CurvdError("malformed-body", "The body is empty", { offset: 0 });
  if (encoding === "json") return parseDocument(body, fields);

  const { metadata, tensors } = decodeSafetensors(body);
  const text = metadata.get("document");
  const document = text === undefined
    ? {}
    : parseDocument(new TextEncoder().encode(text), fields, "the file's document");
  return withTensors(document, tensors);
}

function parseDocument(
  bytes: Uint8Array,
  fields: ReadonlySet<string>,
  what?: string,
): Document {
  checkJsonLimits(bytes);
  const document = parseJson(bytes, what);
  if (!isRecord(document)) {
    throw new CurvdError("invalid-request", "A document is an object", { pointer: "" });
  }
  for (const field of Object.keys(document)) refuseProto(field, pointerTo(field));
  if (!isRecord(document.layers)) return document as Document; // its schema says what is wrong

  if (document.method === "kfac_tridiagonal") {
    expectOrderKept(document.layers, new TextDecoder().decode(bytes));
  }
  for (const [name, layer] of Object.entries(document.layers)) {
    refuseProto(name, pointerTo("layers", name));
    if (isRecord(layer)) readTensors(name, layer, fields);
  }
  return document as Document;
}

/**
 * @param what is parsed, for the message.
 * @throws CurvdError `malformed-body` with the byte `offset`.
 */
export function parseJson(bytes: Uint8Array, what = "the body"): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const offset = endOfUtf8(bytes);
    throw new CurvdError(
      "malformed-body",
      `Cannot parse ${what} as JSON: it is not UTF-8 at byte ${offset}`,
      { offset },
    );
  }
  try {
    return JSON.parse(text);
  } catch {
    const at = jsonFault(text);
    const offset = new TextEncoder().encode(text.slice(0, at)).length;
    const found = at === text.length ? "its end" : JSON.stringify(text.slice(at, at + 12));
    const isNumber = /^-?(NaN|Infinity)/.test(text.slice(at));
    throw new CurvdError(
      "malformed-body",
      `Cannot parse ${what} as JSON: at byte ${offset} ${found} cannot be`,
      { offset, ...(isNumber ? { suggestion: "JSON has no NaN and no infinity" } : {}) },
    );
  }
}

/** Bytes that are UTF-8, from the start. */
function endOfUtf8(bytes: Uint8Array): number {
  let valid = 0, invalid = bytes.length;
  while (valid < invalid) { // a prefix of what is valid is so too
    const middle = Math.ceil((valid + invalid) / 2);
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, middle), { stream: true });
      valid = middle;
    } catch {
      invalid = middle - 1;
    }
  }
  return valid;
}

/** Replaces the tensor fields of a parsed layer by tensors, in place. */
function readTensors(
  name: string,
  layer: Record<string, unknown>,
  fields: ReadonlySet<string>,
): void {
  for (const [field, leaf] of Object.entries(layer)) {
    const pointer = pointerTo("layers", name, field);
    refuseProto(field, pointer);
    if (!fields.has(field)) continue;
    const integer = isIntegerField(field, layer.kind);
    layer[field] = locating(name, field, () => readNested(leaf, pointer, integer));
  }
}

/** Puts a file's tensors into its document; a layer that only tensors name is made. */
function withTensors(document: Document, tensors: ReadonlyMap<string, WireTensor>): Document {
  const layers: Record<string, unknown> = document.layers ?? {};
  for (const [name, tensor] of tensors) {
    const { layer, field } = splitName(name);
    refuseProto(layer ?? field, pointerTo("layers", layer ?? field));
    refuseProto(field, pointerTo(field));
    const home = layer === undefined ? document : homeOf(layers, layer);
    if (Object.hasOwn(home, field)) {
      throw new CurvdError(
        "malformed-body",
        `"${joinName(layer, field)}" is given both as a tensor and in the document`,
        layer === undefined ? { tensor: field } : { layer, tensor: field },
      );
    }
    home[field] = tensor;
  }
  return Object.keys(layers).length === 0 ? document : { ...document, layers } as Document;
}

/** The layer's fields, made where it is new. */
function homeOf(layers: Record<string, unknown>, name: string): Record<string, unknown> {
  if (!isRecord(layers)) throw notAnObject("layers must be an object", pointerTo("layers"));
  if (!Object.hasOwn(layers, name)) layers[name] = {};
  const layer = layers[name];
  if (!isRecord(layer)) {
    throw notAnObject(`Layer "${name}" must be an object`, pointerTo("layers", name));
  }
  return layer;
}

function notAnObject(message: string, pointer: string): CurvdError {
  return new CurvdError("invalid-request", message, { pointer });
}
