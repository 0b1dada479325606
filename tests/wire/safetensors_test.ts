import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import fc from "fast-check";
import { CurvdError, type ErrorCode } from "../../src/errors.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  MAX_HEADER_BYTES,
  type SafetensorsFile,
} from "../../src/wire/safetensors.ts";
import { readElements, writeElements } from "../../src/wire/dtypes.ts";
import { joined } from "./bytes.ts";

/** A file with this header text and this much data. */
function fileOf(header: string, dataBytes: number): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + json.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  return file;
}

function refuses(
  file: Uint8Array<ArrayBuffer>,
  message: RegExp,
  code: ErrorCode = "malformed-body",
): void {
  throws(() => decodeSafetensors(file), (error: CurvdError) => {
    equal(error.code, code);
    match(error.message, message);
    ok(Number.isInteger(error.facts.offset), "the byte offset is named");
    return true;
  });
}

const tensors = fc.dictionary(
  fc.stringMatching(/^[a-z0-9.]{1,12}$/).filter((name) => name !== "__proto__"),
  fc.record({
    dtype: fc.constantFrom("F32", "F16", "BF16"),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
    seed: fc.float({ noNaN: true, min: -1000, max: 1000 }),
  }),
  { maxKeys: 6 },
);

function encode(spec: Record<string, { dtype: string; shape: number[]; seed: number }>) {
  const entries = Object.entries(spec).map(([name, { dtype, shape, seed }]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const data = Float32Array.from({ length: size }, (_, i) => seed + i);
    const as = dtype as "F32" | "F16" | "BF16";
    return [name, { dtype: as, shape, bytes: writeElements(as, data) }] as const;
  });
  return joined(encodeSafetensors({ note: "a\u{1f600}" }, new Map(entries)));
}

Deno.test("what encodeSafetensors() writes, decodeSafetensors() reads back to the bit", () => {
  fc.assert(
    fc.property(tensors, (spec) => {
      const { metadata, tensors } = decodeSafetensors(encode(spec));
      equal(metadata.get("note"), "a\u{1f600}");
      deepEqual([...tensors.keys()].sort(), Object.keys(spec).sort());
      for (const [name, { dtype, shape, seed }] of Object.entries(spec)) {
        const { data, ...read } = tensors.get(name)!;
        deepEqual(read, { dtype, shape });
        const size = shape.reduce((a, b) => a * b, 1);
        const sent = Float32Array.from({ length: size }, (_, i) => seed + i);
        const as = dtype as "F32" | "F16" | "BF16";
        deepEqual(data, readElements(as, writeElements(as, sent).slice().buffer, 0, size));
      }
    }),
  );
});

Deno.test("encodeSafetensors() starts the data at a multiple of 64 bytes", () => {
  fc.assert(
    fc.property(tensors, (spec) => {
      const headerBytes = Number(new DataView(encode(spec).buffer).getBigUint64(0, true));
      equal((8 + headerBytes) % 64, 0);
    }),
  );
});

Deno.test("a file with any byte changed, cut or added is read or refused with a CurvdError", () => {
  const intact = encode({
    "fc1.A": { dtype: "F32", shape: [2, 2], seed: 1 },
    "fc1.G": { dtype: "F16", shape: [3], seed: 2 },
  });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(intact.length - 1), fc.nat(255)), { maxLength: 4 }),
      fc.integer({ min: -intact.length, max: 16 }),
      (changes, growth) => {
        const file = new Uint8Array(intact.length + growth);
        file.set(intact.subarray(0, file.length));
        for (const [at, byte] of changes) if (at < file.length) file[at] = byte;
        try {
          decodeSafetensors(file);
        } catch (error) {
          ok(error instanceof CurvdError, String(error));
        }
      },
    ),
    { numRuns: 20_000 },
  );
});

Deno.test("random header text is read or refused with a CurvdError", () => {
  const token = fc.constantFrom(
    ...'{ } [ ] : , " \\ 0 12 -1 1e5 null "A" "dtype" "shape" "data_offsets" "F32" "__metadata__"'
      .split(" "),
  );
  fc.assert(
    fc.property(fc.array(token, { maxLength: 30 }), (tokens) => {
      try {
        decodeSafetensors(fileOf(`{${tokens.join("")}`, 4));
      } catch (error) {
        ok(error instanceof CurvdError, String(error));
      }
    }),
    { numRuns: 5000 },
  );
});

Deno.test("a truncated file is refused at the byte where it ends", () => {
  refuses(new Uint8Array(7), /at least 8 bytes/);
  const file = fileOf('{"A":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4);
  refuses(file.slice(0, 20), /cut off/);
  refuses(file.slice(0, file.length - 1), /outside the data/);
});

Deno.test("a header that claims more than 1 MiB is refused before it is read", () => {
  const file = new Uint8Array(16);
  new DataView(file.buffer).setBigUint64(0, BigInt(MAX_HEADER_BYTES + 1), true);
  refuses(file, /may have 1048576 bytes/);
  new DataView(file.buffer).setBigUint64(0, 2n ** 64n - 1n, true);
  refuses(file, /may have 1048576 bytes/);
});

Deno.test("a header with a name twice is refused, where the reference reader keeps the last", () => {
  const entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';
  refuses(fileOf(`{"A":${entry},"A":${entry}}`, 4), /"A" appears twice/);
  refuses(fileOf(`{"A":${entry},"\\u0041":${entry}}`, 4), /"A" appears twice/);
  const twice = '{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}';
  refuses(fileOf(`{"A":${twice}}`, 4), /"dtype" appears twice/);
});

Deno.test("a tensor named __proto__ is refused", () => {
  const entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';
  refuses(fileOf(`{"__proto__":${entry}}`, 4), /__proto__/);
});

Deno.test("a header that does not begin with { is refused, also behind a blank", () => {
  refuses(fileOf(' {"A":1}', 0), /begin with \{/);
});

Deno.test("tensors that overlap, leave gaps or end elsewhere than the file are refused", () => {
  const two = (a: string, b: string) =>
    `{"A":{"dtype":"F32","shape":[1],"data_offsets":${a}},` +
    `"B":{"dtype":"F32","shape":[1],"data_offsets":${b}}}`;
  refuses(fileOf(two("[0,4]", "[0,4]"), 4), /overlaps/);
  refuses(fileOf(two("[0,4]", "[2,6]"), 6), /overlaps/);
  refuses(fileOf(two("[0,4]", "[8,12]"), 12), /gap/);
  refuses(fileOf(two("[4,8]", "[8,12]"), 12), /gap/);
  refuses(fileOf(two("[0,4]", "[4,8]"), 9), /the file has 9/);
  refuses(fileOf(two("[0,4]", "[8,4]"), 8), /outside the data/);
  refuses(fileOf(two("[0,4]", "[4,12]"), 8), /outside the data/);
});

Deno.test("a shape that does not fill its bytes is refused, also where its product overflows", () => {
  const of = (shape: string, end: number) =>
    `{"A":{"dtype":"F32","shape":${shape},"data_offsets":[0,${end}]}}`;
  refuses(fileOf(of("[2]", 4), 4), /does not fill/);
  refuses(fileOf(of("[4294967296,4294967296,4294967297]", 4), 4), /does not fill/);
  refuses(fileOf(of("[9007199254740991,9007199254740991]", 0), 0), /does not fill/);
  refuses(fileOf(of("[9007199254740992]", 4), 4), /integer from 0/);
  refuses(fileOf(of("[-1]", 4), 4), /integer from 0/);
  refuses(fileOf(of("[1.0]", 4), 4), /Expected \]/);
});

Deno.test("a dtype that is not taken is refused by name", () => {
  const header = '{"fc1.A":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}';
  refuses(fileOf(header, 4), /F8_E4M3/, "invalid-tensor");
});

Deno.test("every dtype decodes to its values, aligned or not", () => {
  const one = (dtype: string, bytes: Uint8Array, pad: string): SafetensorsFile => {
    const header =
      `{"A":{"dtype":"${dtype}","shape":[2],"data_offsets":[0,${bytes.length}]}${pad}}`;
    const file = fileOf(header, bytes.length);
    file.set(bytes, file.length - bytes.length);
    return decodeSafetensors(file);
  };
  const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer.slice(0));
  for (const pad of ["", " ", "  ", "   "]) {
    const dataOf = (dtype: string, array: ArrayBufferView) => [
      ...one(dtype, bytesOf(array), pad).tensors.get("A")!.data,
    ];
    deepEqual(dataOf("F64", Float64Array.of(0.1, -2)), [Math.fround(0.1), -2]);
    deepEqual(dataOf("F64", Float64Array.of(1e39, 1)), [Infinity, 1]);
    deepEqual(dataOf("F32", Float32Array.of(0.5, -2)), [0.5, -2]);
    deepEqual(dataOf("F16", Float16Array.of(0.5, 65504)), [0.5, 65504]);
    deepEqual(dataOf("BF16", Uint16Array.of(0x3f80, 0xc000)), [1, -2]);
    deepEqual(dataOf("I64", BigInt64Array.of(7n, -8n)), [7, -8]);
    deepEqual(dataOf("I32", Int32Array.of(7, -8)), [7, -8]);
    deepEqual(dataOf("U32", Uint32Array.of(7, 2 ** 31 - 1)), [7, 2 ** 31 - 1]);
  }
  throws(() => one("I64", bytesOf(BigInt64Array.of(0n, 2n ** 31n)), ""), /32 bits.*at index 1/);
  throws(() => one("U32", bytesOf(Uint32Array.of(2 ** 32 - 1, 0)), ""), /32 bits.*at index 0/);
});

Deno.test("aligned F32 tensors are views of the file, not copies", () => {
  const file = encode({ A: { dtype: "F32", shape: [2], seed: 1 } });
  equal(decodeSafetensors(file).tensors.get("A")!.data.buffer, file.buffer);
});

Deno.test("rounding to F16 and BF16 goes to the nearest, ties to even, and overflow is refused", () => {
  const through = (dtype: "F16" | "BF16", values: number[]) => [
    ...readElements(
      dtype,
      writeElements(dtype, Float32Array.from(values)).buffer,
      0,
      values.length,
    ),
  ];
  deepEqual(through("BF16", [1 + 2 ** -8, 1 + 3 * 2 ** -8, 3.3895313892515355e38]), [
    1,
    1 + 2 ** -6,
    3.3895313892515355e38,
  ]);
  deepEqual(through("F16", [65504, 65519, 2 ** -25]), [65504, 65504, 0]);
  for (const [dtype, value] of [["F16", 65520], ["F16", -1e9], ["BF16", 3.4e38]] as const) {
    throws(() => writeElements(dtype, Float32Array.of(1, value)), (error: CurvdError) => {
      equal(error.code, "overflow");
      equal(error.facts.index, 1);
      match(String(error.facts.suggestion), dtype === "F16" ? /BF16/ : /F32/);
      return true;
    });
  }
});
