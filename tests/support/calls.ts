/**
 * The stateless calls as HTTP would make them, without HTTP: a document is decoded, validated, answered, and the
 * answer is held against its own schema.
 *
 * @module
 */
import { memory } from "@tensorflow/tfjs-core";
import { deepStrictEqual as deepEqual, fail, ok, strictEqual as equal } from "node:assert/strict";
import type { Engine } from "@/engine/mod.ts";
import { CurvdError, type ErrorCode, type ErrorFacts } from "@/errors.ts";
import {
  CALL_SCHEMAS,
  decodeDocument,
  type Document,
  type Dtype,
  isTensor,
  validate,
  type WireTensor,
} from "@/wire/mod.ts";
import { CALL_HANDLERS } from "../../src/compute/calls/mod.ts";
import type { CallName } from "../../src/compute/protocol.ts";

/** A layer of a request: tensors as {@linkcode WireTensor}, nested arrays or `{shape, data}`. */
export type RequestLayer = Record<string, unknown>;
/** A request: its layers, and whatever else. */
export type Request = { layers: Record<string, RequestLayer>; [parameter: string]: unknown };
/** A layer of an answer. */
export type AnswerLayer = Record<string, unknown>;

/** A tensor of a request; its values are rounded to float32 as on the wire. */
export function wire(
  shape: readonly number[],
  data: ArrayLike<number>,
  dtype: Dtype = "F32",
): WireTensor {
  return { dtype, shape, data: Float32Array.from(data) };
}

/** Ids of an embedding. */
export function ids(shape: readonly number[], data: ArrayLike<number>): WireTensor {
  return { dtype: "I32", shape, data: Int32Array.from(data) };
}

/**
 * Makes a call. The request is copied, so it can be made again.
 *
 * @throws CurvdError as the server would. Whatever happens, no tensor is left on the device.
 */
export async function call(engine: Engine, name: CallName, request: Request): Promise<Document> {
  const before = memory().numTensors;
  try {
    const accepted = validate(CALL_SCHEMAS[name].request, decoded(request));
    const answer = await CALL_HANDLERS[name]!(engine, accepted as never);
    expectAnswer(name, answer);
    return answer;
  } finally {
    equal(memory().numTensors, before, `${name} left tensors behind`);
  }
}

/** Makes a call of one layer, and answers that layer. */
export async function callLayer(
  engine: Engine,
  name: CallName,
  layer: RequestLayer,
  parameters: Record<string, unknown> = {},
): Promise<AnswerLayer> {
  const { layers } = await call(engine, name, { layers: { l: layer }, ...parameters });
  return layers!.l;
}

/** The values of a tensor or number of an answer. */
export function numbers(value: unknown): number[] {
  if (typeof value === "number") return [value];
  if (Array.isArray(value)) return value.flatMap(numbers);
  ok(isTensor(value), `expected numbers, got ${JSON.stringify(value)}`);
  return [...value.data];
}

/** Expects a refusal with this code and at least these facts. @returns the error. */
export async function refused(
  work: Promise<unknown>,
  code: ErrorCode,
  facts: ErrorFacts = {},
): Promise<CurvdError> {
  let answer: unknown;
  try {
    answer = await work;
  } catch (error) {
    if (!(error instanceof CurvdError)) throw error;
    equal(error.code, code, error.message);
    const found = Object.fromEntries(Object.keys(facts).map((key) => [key, error.facts[key]]));
    deepEqual(found, facts, error.message);
    return error;
  }
  fail(`expected ${code}, got ${JSON.stringify(answer)}`);
}

/** The tensors of a request as they are, everything else through JSON and its decoder. */
function decoded({ layers, ...rest }: Request): Document {
  const entries = Object.entries(layers).map(([name, layer]) => {
    const fields = Object.entries(layer);
    return {
      name,
      tensors: fields.filter(([, leaf]) => isTensor(leaf)),
      others: fields.filter(([, leaf]) => !isTensor(leaf)),
    };
  });
  const plain = {
    ...rest,
    layers: Object.fromEntries(entries.map((e) => [e.name, Object.fromEntries(e.others)])),
  };
  const document = decodeDocument(new TextEncoder().encode(JSON.stringify(plain)), "json");
  for (const { name, tensors } of entries) {
    for (const [field, leaf] of tensors as [string, WireTensor][]) {
      document.layers![name][field] = { ...leaf, data: leaf.data.slice() };
    }
  }
  return document;
}

/** Holds an answer against its schema; a skipped layer's `error` is a problem only once routes made it one. */
function expectAnswer(name: CallName, answer: Document): void {
  const layers = Object.fromEntries(
    Object.entries(answer.layers!).map(([layer, fields]) => {
      const { error: _, ...rest } = fields;
      return [layer, rest];
    }),
  );
  validate(CALL_SCHEMAS[name].answer, { ...answer, layers });
}
