/**
 * The decoders against bodies that are wrong: each is refused by name or read right.
 *
 * What is read is held against a reading of its own, element by element, and against the body's
 * size: a decoder that trusted a declared length would be caught by the memory it takes. 120 000
 * bodies with CURVD_SLOW=1.
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal, throws } from "node:assert/strict";
import { CurvdError } from "../../src/errors.ts";
import {
  buffersOf,
  CALL_SCHEMAS,
  decodeDocument,
  decodeSafetensors,
  type Document,
  type Dtype,
  type Encoding,
  readInferenceHead,
  tensorsOf,
  validate,
  type WireTensor,
} from "../../src/wire/mod.ts";
import { ITEM_BYTES } from "../../src/wire/dtypes.ts";
import { encodeHeader } from "../../src/wire/safetensors.ts";
import { problemOf } from "../../routes/problem.ts";
import { uniform } from "../support/matrices.ts";
import { joined } from "../wire/bytes.ts";
import { type Body, mutated, validBodies } from "./mutations.ts";
import { readNaively } from "./naive_reading.ts";

const isSlowRun = Deno.env.get("CURVD_SLOW") === "1";
if (!isSlowRun) console.log("the codec fuzz is short: 18 000 bodies, 120 000 with CURVD_SLOW=1");
/** Of each of the three kinds. */
const BODIES = isSlowRun ? 40_000 : 6_000;
const SEED = 20_261_121;
/** Numbers of a ragged array may be reserved before its raggedness is met: 4 MiB at most. */
const LARGEST_BYTES = 2 ** 22;
const SCHEMAS = Object.values(CALL_SCHEMAS).map(({ request }) => request);

/** Runs `take` on many wrong bodies; it is told which they are where it fails. */
function fuzz(bodies: readonly Body[], take: (body: Body, at: number) => boolean): void {
  const random = uniform(SEED);
  let read = 0;
  for (let at = 0; at < BODIES; at++) {
    const body = mutated(bodies, random);
    try {
      if (take(body.slice(), at)) read++;
    } catch (error) {
      throw new Error(`Body ${at} of seed ${SEED}: ${error}\n${body.toBase64()}`, { cause: error });
    }
  }
  ok(read > BODIES / 100, `${read} of ${BODIES} were still right: the rest never reached the end`);
  ok(read < BODIES / 2, `${read} of ${BODIES} were still right: the mutations do not bite`);
}

/** What `work` answers, or undefined where it refuses as it should; any other error is a bug. */
function unlessRefused<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    ok(error instanceof CurvdError, `${error instanceof Error ? error.stack : error}`);
    const { status, detail } = problemOf(error);
    ok(status >= 400 && status < 500 && detail.length > 0, `${status}: ${detail}`);
    return undefined;
  }
}

/** Decodes and validates. @returns whether the body could be decoded. */
function take(body: Body, encoding: Encoding, at: number, decode = decodeDocument): boolean {
  const { length } = body;
  const document = unlessRefused(() => decode(body, encoding));
  if (document === undefined) return false;
  const taken = buffersOf(document).reduce((sum, buffer) => sum + buffer.byteLength, 0);
  ok(taken <= 4 * length + LARGEST_BYTES, `${taken} bytes of tensors in a body of ${length}`);
  for (const { shape, data } of tensorsOf(document)) {
    equal(shape.reduce((a, b) => a * b, 1), data.length);
  }
  unlessRefused(() => validate(SCHEMAS[at % SCHEMAS.length], document));
  return true;
}

/** Reads a file and holds it against the naive reading. @returns whether it could be read. */
function takeFile(file: Body, read = decodeSafetensors): boolean {
  const untouched = file.slice();
  const found = unlessRefused(() => read(file));
  if (found === undefined) return false;
  deepEqual(valuesOf(found.tensors), valuesOf(readNaively(untouched)));
  return true;
}

/** As plain arrays: typed ones are compared by their bits, and a NaN has many. */
function valuesOf(tensors: ReadonlyMap<string, WireTensor>) {
  return new Map([...tensors].map(([name, { data, ...of }]) => [name, { ...of, data: [...data] }]));
}

Deno.test("JSON bodies that are wrong are refused by name or decoded whole", () => {
  fuzz(validBodies("json"), (body, at) => take(body, "json", at));
});

Deno.test("safetensors bodies that are wrong are refused by name or read as they lie", () => {
  const files = [...validBodies("safetensors"), ...fileOfEveryDtype()];
  fuzz(files, (file, at) => takeFile(file) && take(file, "safetensors", at));
});

Deno.test("heads of inference requests that are wrong are refused by name or become a header", () => {
  const heads = [
    {
      id: "1",
      inputs: [
        { name: "fc1.A", datatype: "FP32", shape: [2, 2], data: [[2, 0.5], [0.5, 1]] },
        { name: "fc1.G", datatype: "FP16", shape: [3], parameters: { binary_data_size: 6 } },
      ],
      outputs: [{ name: "fc1.A_inv", parameters: { binary_data: false } }],
      parameters: { damping: 0.1, document: '{"pi": "off"}', binary_data_output: true },
    },
    { inputs: [], parameters: { layers: { fc1: { kind: "dense" } } } },
  ].map((head) => new TextEncoder().encode(JSON.stringify(head)));
  fuzz(heads, (head) => {
    const request = unlessRefused(() => readInferenceHead(head));
    if (request === undefined) return false;
    const bytes = request.start.reduce((sum, part) => sum + part.length, 0);
    ok(bytes <= 4 * head.length + LARGEST_BYTES);
    return true;
  });
});

Deno.test("a decoder that throws what it met, believes a length or mixes up a value is caught", () => {
  const json = validBodies("json");
  const throwing = (body: Body) => JSON.parse(new TextDecoder().decode(body)) as Document;
  throws(() => fuzz(json, (body, at) => take(body, "json", at, throwing)), /SyntaxError/);

  const believing = (body: Body) => {
    const document = decodeDocument(body, "json");
    const data = new Float32Array(LARGEST_BYTES);
    return { ...document, a: { dtype: "F32" as const, shape: [data.length], data } };
  };
  throws(() => fuzz(json, (body, at) => take(body, "json", at, believing)), /bytes of tensors/);

  const careless = (file: Body) => {
    const read = decodeSafetensors(file);
    for (const { dtype, data } of read.tensors.values()) {
      if (dtype === "BF16" && data.length > 1) data.subarray(0, 2).reverse();
    }
    return read;
  };
  throws(() => fuzz(fileOfEveryDtype(), (file) => takeFile(file, careless)), /deep-equal/);
});

/** A file with a tensor of each dtype, none of them aligned. */
function fileOfEveryDtype(): Body[] {
  const dtypes = Object.entries(ITEM_BYTES) as [Dtype, number][];
  const tensors = dtypes.map(([dtype, bytes], at) => {
    const shape = [2, 3];
    return [`layer.${at}.inputs`, { dtype, shape, byteLength: 6 * bytes }] as const;
  }).reverse(); // smallest first, so that the larger ones lie askew
  const header = encodeHeader({ document: '{"damping":0.1}' }, tensors);
  const data = tensors.map(([, { dtype, byteLength }]) => {
    const bytes = ITEM_BYTES[dtype];
    // the low bytes of an integer, the high ones of a float: values of a common size
    const isUsed = (at: number) => /^[IU]/.test(dtype) ? at % bytes < 2 : at % bytes >= bytes - 2;
    return Uint8Array.from({ length: byteLength }, (_, at) => isUsed(at) ? 3 + 5 * at % 61 : 0);
  });
  return [joined([header, ...data])];
}
