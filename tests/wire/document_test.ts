import {
  deepStrictEqual as deepEqual,
  match,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import fc from "fast-check";
import { CurvdError, type ErrorCode } from "../../src/errors.ts";
import {
  decodeDocument,
  decodeSafetensors,
  type Document,
  encodeDocument,
  encodeSafetensors,
  freeTensors,
  isTensor,
  type Output,
  PLAIN_OUTPUT,
  tensorOf,
  type WireTensor,
} from "../../src/wire/mod.ts";
import { splitName } from "../../src/wire/document.ts";
import { joined } from "./bytes.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const fromJson = (text: string) => decodeDocument(bytes(text), "json");
const tensorAt = (document: Document, layer: string, field: string) =>
  document.layers![layer][field] as WireTensor;

function refusesJson(text: string, code: ErrorCode, pointer?: string, message = /./): void {
  throws(() => fromJson(text), (error: CurvdError) => {
    equal(error.code, code);
    equal(error.facts.pointer, pointer);
    match(error.message, message);
    return true;
  });
}

const layerNames = fc.string({ minLength: 1, maxLength: 8 }).filter((name) => name !== "__proto__");
const documents = fc.dictionary(
  layerNames,
  fc.tuple(
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 3 }),
    fc.float({ noNaN: true, noDefaultInfinity: true }),
  ),
  { minKeys: 1, maxKeys: 4 },
).map((layers): Document => ({
  layers: Object.fromEntries(
    Object.entries(layers).map(([name, [rows, columns, value]]) => [name, {
      A: tensorOf([rows, columns], new Float32Array(rows * columns).fill(value + 0)),
      kind: "dense",
    }]),
  ),
  damping: 0.1,
}));

for (const encoding of ["json", "safetensors"] as const) {
  Deno.test(`a document goes through ${encoding} and comes back to the bit`, () => {
    fc.assert(
      fc.property(documents, (document) => {
        const body = joined(encodeDocument(document, encoding, PLAIN_OUTPUT));
        deepEqual(decodeDocument(body, encoding), document);
      }),
    );
  });
}

Deno.test("a tensor's name is split at its last dot, as torch's module names have dots", () => {
  deepEqual(splitName("layer1.0.conv1.A"), { layer: "layer1.0.conv1", field: "A" });
  deepEqual(splitName("singular_values"), { field: "singular_values" });
});

Deno.test("a safetensors body of tensors alone makes its layers", () => {
  const bytesOfA = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
  const file = joined(
    encodeSafetensors({}, new Map([["a.b.A", { dtype: "F32", shape: [2, 2], bytes: bytesOfA }]])),
  );
  deepEqual([...tensorAt(decodeDocument(file, "safetensors"), "a.b", "A").data], [1, 2, 3, 4]);
});

Deno.test("a field given as a tensor and in the document is refused", () => {
  const bytesOfA = new Uint8Array(Float32Array.of(1).buffer);
  const file = joined(encodeSafetensors(
    { document: '{"layers":{"a":{"A":[[1]]}}}' },
    new Map([["a.A", { dtype: "F32", shape: [1, 1], bytes: bytesOfA }]]),
  ));
  throws(() => decodeDocument(file, "safetensors"), { code: "malformed-body", message: /both/ });
});

Deno.test("JSON tensors are read as nested arrays or as shape and data", () => {
  const document = fromJson(
    '{"layers":{"a":{"A":[[1,2],[3,4]],"G":{"shape":[1,2],"data":[5,6]},"S":[7]}}}',
  );
  deepEqual(tensorAt(document, "a", "A"), tensorOf([2, 2], Float32Array.of(1, 2, 3, 4)));
  deepEqual(tensorAt(document, "a", "G"), tensorOf([1, 2], Float32Array.of(5, 6)));
  deepEqual(tensorAt(document, "a", "S").shape, [1]);
});

Deno.test("an embedding's ids stay integers, and anything else among them is refused", () => {
  const layer = (ids: string) => `{"layers":{"e":{"inputs":${ids},"kind":"embedding"}}}`;
  const { data, dtype } = tensorAt(fromJson(layer("[16777217,3]")), "e", "inputs");
  deepEqual([...data], [16777217, 3]);
  equal(dtype, "I32");
  refusesJson(layer("[1,2.5]"), "invalid-tensor", "/layers/e/inputs/1", /integer/);
  refusesJson(layer("[1,4294967296]"), "invalid-tensor", "/layers/e/inputs/1", /integer/);
});

Deno.test("a number beyond float32 decodes to infinity, for the search for non-finite values", () => {
  const { data } = tensorAt(fromJson('{"layers":{"a":{"A":[[1e39,-1e400]]}}}'), "a", "A");
  deepEqual([...data], [Infinity, -Infinity]);
});

Deno.test("ragged arrays are refused with a pointer to the odd one", () => {
  const layer = (tensor: string) => `{"layers":{"a/b":{"A":${tensor}}}}`;
  refusesJson(layer("[[1,2],[3]]"), "invalid-tensor", "/layers/a~1b/A/1", /Ragged/);
  refusesJson(layer("[[1,2],[3,[4]]]"), "invalid-tensor", "/layers/a~1b/A/1/1", /an array/);
  refusesJson(layer("[[1,2],3]"), "invalid-tensor", "/layers/a~1b/A/1", /array of 2/);
  refusesJson(layer('{"shape":[2,2],"data":[1,2,3]}'), "invalid-tensor", "/layers/a~1b/A/data");
  refusesJson(layer('{"shape":[-1],"data":[1]}'), "invalid-tensor", "/layers/a~1b/A/shape");
});

Deno.test("strings, null and booleans inside a tensor are refused with a pointer", () => {
  const layer = (value: string) => `{"layers":{"a":{"A":[[1,${value}]]}}}`;
  for (const value of ['"NaN"', "null", "true", "{}"]) {
    refusesJson(layer(value), "invalid-tensor", "/layers/a/A/0/1");
  }
  refusesJson('{"layers":{"a":{"A":"x"}}}', "invalid-tensor", "/layers/a/A");
  refusesJson('{"layers":{"a":{"A":null}}}', "invalid-tensor", "/layers/a/A");
  refusesJson(
    '{"layers":{"a":{"A":{"shape":[1],"data":[null]}}}}',
    "invalid-tensor",
    "/layers/a/A/data/0",
  );
});

Deno.test("a body that is no JSON object in UTF-8 is refused", () => {
  refusesJson("{", "malformed-body");
  refusesJson("", "malformed-body");
  refusesJson('{"a":NaN}', "malformed-body");
  refusesJson("[]", "invalid-request", "");
  throws(() => decodeDocument(Uint8Array.of(0x22, 0xff, 0x22), "json"), { code: "malformed-body" });
});

Deno.test("2 Mi numbers of JSON are refused, 1 Mi are taken", () => {
  const body = (count: number) => `{"layers":{"a":{"A":[${"1,".repeat(count - 1)}1]}}}`;
  equal(tensorAt(fromJson(body(2 ** 20)), "a", "A").shape[0], 2 ** 20);
  refusesJson(body(2 ** 20 + 1), "body-too-large", undefined, /1048576 numbers/);
  refusesJson(body(2 ** 21), "body-too-large");
});

Deno.test("digits inside strings are not counted as numbers", () => {
  const name = "7,".repeat(2 ** 20 + 1);
  equal(Object.keys(fromJson(`{"layers":{"${name}\\"8":{}}}`).layers!).length, 1);
});

Deno.test("a million brackets are refused, not recursed into", () => {
  refusesJson("[".repeat(1e6), "malformed-body", undefined, /levels deep/);
});

Deno.test("the name __proto__ is refused and pollutes nothing", () => {
  refusesJson('{"layers":{"__proto__":{"A":[[1]]}}}', "invalid-request", "/layers/__proto__");
  refusesJson('{"layers":{"a":{"__proto__":[[1]]}}}', "invalid-request", "/layers/a/__proto__");
  refusesJson('{"__proto__":{}}', "invalid-request", "/__proto__");
  equal(({} as Record<string, unknown>).A, undefined);
});

Deno.test("names of Object.prototype are names like any other", () => {
  const text = '{"layers":{"constructor":{"A":[[1]]},"toString":{"A":[[2]]}}}';
  const body = joined(encodeDocument(fromJson(text), "safetensors", PLAIN_OUTPUT));
  deepEqual(decodeDocument(body, "safetensors"), fromJson(text));
});

Deno.test("output.symmetric packed halves symmetric answers, alone and in stacks, and no others", () => {
  const square = () => tensorOf([2, 2], Float32Array.of(1, 2, 2, 3));
  const answer: Document = {
    layers: {
      a: {
        A_inv: square(),
        Q_A: square(),
        G_inv: tensorOf([2, 1, 1], Float32Array.of(4, 5)),
      },
    },
  };
  const packed: Output = { dtype: "F32", symmetric: "packed" };
  const text = new TextDecoder().decode(joined(encodeDocument(answer, "json", packed)));
  deepEqual(JSON.parse(text), {
    layers: { a: { A_inv: [1, 2, 3], Q_A: [[1, 2], [2, 3]], G_inv: [[4], [5]] } },
  });
});

Deno.test("output.dtype rounds both encodings alike", () => {
  const answer = (): Document => ({
    layers: { a: { A: tensorOf([1, 1], Float32Array.of(1 / 3)) } },
  });
  for (const dtype of ["F16", "BF16"] as const) {
    const output: Output = { dtype, symmetric: "full" };
    const json = JSON.parse(
      new TextDecoder().decode(joined(encodeDocument(answer(), "json", output))),
    );
    const file = decodeSafetensors(joined(encodeDocument(answer(), "safetensors", output)));
    equal(file.tensors.get("a.A")!.dtype, dtype);
    equal(Math.fround(json.layers.a.A[0][0]), file.tensors.get("a.A")!.data[0]);
  }
});

Deno.test("an answer that overflows F16 names layer, tensor, size and a type that would do", () => {
  for (const encoding of ["json", "safetensors"] as const) {
    const answer = { layers: { fc1: { A_inv: tensorOf([1, 2], Float32Array.of(1, 1e5)) } } };
    throws(
      () => encodeDocument(answer, encoding, { dtype: "F16", symmetric: "full" }),
      (error: CurvdError) => {
        equal(error.code, "overflow");
        const { layer, tensor, size, index, suggestion } = error.facts;
        deepEqual({ layer, tensor, size, index }, {
          layer: "fc1",
          tensor: "A_inv",
          size: 2,
          index: 1,
        });
        match(String(suggestion), /BF16/);
        return true;
      },
    );
  }
});

Deno.test("a result that is not finite is never written as JSON's null", () => {
  const answer = { layers: { a: { A: tensorOf([1], Float32Array.of(NaN)) } } };
  throws(() => encodeDocument(answer, "json", PLAIN_OUTPUT), { code: "not-finite" });
});

Deno.test("any text is decoded or refused with a CurvdError", () => {
  const json = fc.json({ maxDepth: 6 }).map((text) => `{"layers":{"a":{"A":${text}}}}`);
  fc.assert(
    fc.property(fc.oneof(fc.string(), json), (text) => {
      try {
        const document = fromJson(text);
        const leaf = document.layers?.a?.A;
        if (leaf !== undefined) equal(isTensor(leaf), true);
      } catch (error) {
        equal(error instanceof CurvdError, true, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("freeTensors() frees what is still here, each piece once", () => {
  const shared = new Float32Array(4), gone = new Float32Array(2);
  const at = (from: number) => tensorOf([2], shared.subarray(from, from + 2));
  const document: Document = {
    layers: { fc1: { A: at(0), G: at(2) } },
    other: tensorOf([2], gone),
  };
  structuredClone(gone, { transfer: [gone.buffer] });
  freeTensors(document);
  equal(shared.buffer.detached, true);
});
