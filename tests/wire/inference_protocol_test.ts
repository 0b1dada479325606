/** The Open Inference Protocol's messages as safetensors documents and back. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal, throws } from "node:assert/strict";
import fc from "fast-check";
import { CurvdError, type ErrorCode } from "../../src/errors.ts";
import {
  decodeDocument,
  type Document,
  encodeDocument,
  InferenceAnswer,
  type InferenceForm,
  modelMetadata,
  PLAIN_OUTPUT,
  readInferenceHead,
  tensorOf,
  validate,
  writeInferenceAnswer,
} from "../../src/wire/mod.ts";
import { MAX_JSON_NUMBERS } from "../../src/wire/inference_protocol/message.ts";
import { ITEM_BYTES, readElements } from "../../src/wire/dtypes.ts";
import type { Dtype } from "../../src/wire/tensor.ts";
import { joined } from "./bytes.ts";

const bytesOf = (message: unknown) => new TextEncoder().encode(JSON.stringify(message));
const MODEL = { name: "inverses", version: "1" };
const DATATYPES: Record<string, Dtype> = { FP64: "F64", FP32: "F32", FP16: "F16", BF16: "BF16" };

/** The document that a request with these tensors' bytes after it stands for. */
function documentOf(message: unknown, tail: Uint8Array<ArrayBuffer>[] = []): Document {
  const { start } = readInferenceHead(bytesOf(message));
  return decodeDocument(joined([...start, ...tail]), "safetensors");
}

function refuses(message: unknown, code: ErrorCode, pointer?: string): void {
  throws(() => readInferenceHead(bytesOf(message)), (error: CurvdError) => {
    equal(error.code, code, error.message);
    if (pointer !== undefined) equal(error.facts.pointer, pointer);
    return true;
  });
}

const binaryInputs = fc.uniqueArray(
  fc.record({
    name: fc.stringMatching(/^[a-z0-9.]{1,12}\.[a-z]{1,5}$/),
    datatype: fc.constantFrom(...Object.keys(DATATYPES)),
    shape: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
    seed: fc.nat(255),
  }),
  { selector: ({ name }) => name, maxLength: 5 },
);

Deno.test("tensors' bytes after the head become the document's tensors, to the bit", () => {
  fc.assert(fc.property(binaryInputs, (specs) => {
    const tail = specs.map(({ datatype, shape, seed }) => {
      const size = shape.reduce((a, b) => a * b, 1) * ITEM_BYTES[DATATYPES[datatype]];
      return Uint8Array.from({ length: size }, (_, i) => (seed + 31 * i) % 256);
    });
    const inputs = specs.map(({ name, datatype, shape }, at) => {
      return { name, datatype, shape, parameters: { binary_data_size: tail[at].length } };
    });
    const { layers = {} } = documentOf({ inputs }, tail);
    equal(Object.values(layers).flatMap(Object.keys).length, specs.length);
    for (const [at, { name, datatype, shape }] of specs.entries()) {
      const dot = name.lastIndexOf(".");
      const dtype = DATATYPES[datatype];
      const length = shape.reduce((a, b) => a * b, 1);
      deepEqual(layers[name.slice(0, dot)][name.slice(dot + 1)], {
        dtype,
        shape,
        data: readElements(dtype, tail[at].buffer, 0, length),
      });
    }
  }));
});

Deno.test("data as JSON, flat or nested, may stand beside tensors that follow as bytes", () => {
  const inputs = [
    { name: "a.A", datatype: "FP32", shape: [2, 2], data: [1, 0.5, 0.5, 2] },
    { name: "a.G", datatype: "FP32", shape: [1], parameters: { binary_data_size: 4 } },
    { name: "b.A", datatype: "FP64", shape: [2, 1], data: [[3], [4]] },
    { name: "b.inputs", datatype: "INT64", shape: [2], data: [7, 8] },
  ];
  const tail = new Uint8Array(Float32Array.of(9).buffer);
  const { layers } = documentOf({ inputs }, [tail]);
  deepEqual(layers!.a.A, tensorOf([2, 2], Float32Array.of(1, 0.5, 0.5, 2)));
  deepEqual(layers!.a.G, tensorOf([1], Float32Array.of(9)));
  deepEqual(layers!.b.A, tensorOf([2, 1], Float32Array.of(3, 4)));
  deepEqual(layers!.b.inputs, { dtype: "I32", shape: [2], data: Int32Array.of(7, 8) });
});

Deno.test("parameters are the document's fields, in place or as one JSON string", () => {
  const fields = { damping: [0.1, 0.2], layers: { a: { bias: false } } };
  deepEqual(documentOf({ inputs: [], parameters: fields }), fields);
  deepEqual(
    documentOf({ inputs: [], parameters: { document: JSON.stringify(fields) } }),
    fields,
  );
  const mixed = { pi: "off", document: JSON.stringify(fields), binary_data_output: true };
  deepEqual(documentOf({ inputs: [], parameters: mixed }), { pi: "off", ...fields });
});

Deno.test("what cannot be meant is refused with a pointer to it", () => {
  const input = { name: "a.A", datatype: "FP32", shape: [1], data: [1] };
  refuses({ inputs: [input, input] }, "invalid-request", "/inputs/1/name");
  refuses({ inputs: [{ ...input, datatype: "BYTES" }] }, "invalid-request", "/inputs/0/datatype");
  refuses({ inputs: [{ ...input, data: undefined }] }, "invalid-request", "/inputs/0");
  refuses({ inputs: [{ ...input, data: ["x"] }] }, "invalid-tensor", "/inputs/0/data/data/0");
  refuses({ inputs: [{ ...input, shape: [2, 1], data: [[1, 2]] }] }, "invalid-tensor");
  refuses({ inputs: [{ ...input, shape: [3] }] }, "invalid-tensor");
  refuses({ inputs: [{ ...input, datatype: "INT32", data: [1.5] }] }, "invalid-tensor");
  const region = { shared_memory_region: "r", binary_data_size: 4 };
  refuses({ inputs: [{ ...input, data: undefined, parameters: region }] }, "invalid-request");
  const twice = { damping: 1, document: '{"damping": 2}' };
  refuses({ inputs: [], parameters: twice }, "invalid-request", "/parameters/document");
  refuses({ inputs: [], parameters: { document: "{" } }, "malformed-body");
  refuses({ inputs: [], parameters: { document: "[]" } }, "invalid-request");
  refuses({ inputs: {} }, "invalid-request", "/inputs");
});

const answered: Document = {
  layers: {
    fc1: {
      A_inv: tensorOf([2, 2], Float32Array.of(0.1, 0, 0, 0.25)),
      G_inv: tensorOf([1, 1], Float32Array.of(3)),
      pi: 1,
    },
  },
  warnings: [],
};
const file = joined(encodeDocument(answered, "safetensors", PLAIN_OUTPUT));

/** An answer's head, checked against its schema, and what follows it. */
function write(form: InferenceForm) {
  const { parts, headBytes } = writeInferenceAnswer(file, MODEL, form);
  const body = joined(parts);
  const end = headBytes ?? body.length;
  const head = validate(InferenceAnswer, JSON.parse(new TextDecoder().decode(body.slice(0, end))));
  return { head, tail: body.slice(end), headBytes };
}

Deno.test("an answer as JSON carries no bytes and has the fewest digits", () => {
  const { head, tail, headBytes } = write({ isBinary: false, id: "7" });
  equal(headBytes, undefined);
  equal(tail.length, 0);
  deepEqual(head, {
    model_name: "inverses",
    model_version: "1",
    id: "7",
    parameters: { document: JSON.stringify({ layers: { fc1: { pi: 1 } }, warnings: [] }) },
    outputs: [
      { name: "fc1.A_inv", shape: [2, 2], datatype: "FP32", data: [0.1, 0, 0, 0.25] },
      { name: "fc1.G_inv", shape: [1, 1], datatype: "FP32", data: [3] },
    ],
  });
});

Deno.test("outputs come in the order asked for, each as it was asked for", () => {
  const { head, tail } = write({
    isBinary: false,
    outputs: [{ name: "fc1.G_inv", isBinary: true }, { name: "fc1.A_inv", isBinary: false }],
  });
  deepEqual(head.outputs, [
    { name: "fc1.G_inv", shape: [1, 1], datatype: "FP32", parameters: { binary_data_size: 4 } },
    { name: "fc1.A_inv", shape: [2, 2], datatype: "FP32", data: [0.1, 0, 0, 0.25] },
  ]);
  deepEqual(new Float32Array(tail.buffer), Float32Array.of(3));
});

Deno.test("an output that the answer has not is named, with those it has", () => {
  const outputs = [{ name: "fc1.A", isBinary: true }];
  throws(
    () => writeInferenceAnswer(file, MODEL, { isBinary: true, outputs }),
    (error: CurvdError) => {
      equal(error.code, "invalid-request");
      deepEqual(error.facts.limit, ["fc1.A_inv", "fc1.G_inv"]);
      return true;
    },
  );
});

Deno.test("16-bit answers go as bytes in their own datatype, as JSON in FP32", () => {
  const half = joined(
    encodeDocument(answered, "safetensors", { dtype: "F16", symmetric: "full" }),
  );
  const outputs = [{ name: "fc1.A_inv", isBinary: true }, { name: "fc1.G_inv", isBinary: false }];
  const { parts, headBytes } = writeInferenceAnswer(half, MODEL, { isBinary: true, outputs });
  const body = joined(parts);
  const head = JSON.parse(new TextDecoder().decode(body.slice(0, headBytes)));
  deepEqual(head.outputs.map(({ datatype }: { datatype: string }) => datatype), ["FP16", "FP32"]);
  equal(body.length - headBytes!, 8);
});

Deno.test("more numbers as JSON than would be quick to print are refused", () => {
  const A_inv = tensorOf([MAX_JSON_NUMBERS + 1], new Float32Array(MAX_JSON_NUMBERS + 1));
  const large = joined(
    encodeDocument({ layers: { fc1: { A_inv } } }, "safetensors", PLAIN_OUTPUT),
  );
  throws(() => writeInferenceAnswer(large, MODEL, { isBinary: false }), { code: "not-acceptable" });
  equal(writeInferenceAnswer(large, MODEL, { isBinary: true }).parts.length, 2);
});

Deno.test("a call's metadata lists the tensors of its schemas", () => {
  const { inputs, outputs } = modelMetadata("inverses");
  deepEqual(inputs[0], { name: "<layer>.A", datatype: "FP32", shape: [-1, -1] });
  deepEqual(outputs.map(({ name }) => name), ["<layer>.A_inv", "<layer>.G_inv"]);
  const updates = modelMetadata("updates");
  ok(updates.inputs.some(({ name }) => name === "<layer>.gradient"));
  ok(updates.outputs.some(({ name }) => name === "<layer>.update"));
  deepEqual(modelMetadata("plan").inputs, []);
});
