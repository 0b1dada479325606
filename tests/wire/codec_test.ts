import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { Codec, INLINE_BYTES } from "../../src/wire/codec.ts";
import {
  type Document,
  encodeDocument,
  firstNonFinite,
  PLAIN_OUTPUT,
  tensorOf,
} from "../../src/wire/mod.ts";
import { joined } from "./bytes.ts";

/** More values than a codec handles on the thread that asks. */
const COUNT = INLINE_BYTES / 2;
const large = (): Document => ({
  layers: { a: { A: tensorOf([COUNT], Float32Array.from({ length: COUNT }, (_, i) => i / 8)) } },
});

async function withCodec(run: (codec: Codec) => Promise<void>): Promise<void> {
  const codec = new Codec();
  try {
    await run(codec);
  } finally {
    codec.close();
  }
}

Deno.test("a large JSON body and answer go through the Worker unchanged", () =>
  withCodec(async (codec) => {
    const parts = await codec.encode(large(), "json", PLAIN_OUTPUT);
    const body = parts[0];
    deepEqual(body, encodeDocument(large(), "json", PLAIN_OUTPUT)[0]);
    const buffer = body.buffer;
    deepEqual(await codec.decode(body, "json"), large());
    equal(buffer.detached, true, "the body was transferred, not copied");
  }));

Deno.test("a large answer is rounded and packed in the Worker", () =>
  withCodec(async (codec) => {
    const output = { dtype: "BF16", symmetric: "full" } as const;
    const parts = await codec.encode(large(), "safetensors", output);
    deepEqual(joined(parts), joined(encodeDocument(large(), "safetensors", output)));
  }));

Deno.test("a large safetensors body is never copied where it need not be", () =>
  withCodec(async (codec) => {
    const body = joined(encodeDocument(large(), "safetensors", PLAIN_OUTPUT));
    const { layers } = await codec.decode(body, "safetensors");
    equal((layers!.a.A as { data: Float32Array }).data.buffer, body.buffer);
  }));

Deno.test("the Worker's refusals arrive with their code and facts, and it goes on working", () =>
  withCodec(async (codec) => {
    const body = new TextEncoder().encode(`{"layers":{"a":{"A":[${"1,".repeat(2 ** 21)}1]}}}`);
    await rejects(codec.decode(body, "json"), { code: "body-too-large" });
    const ragged = new TextEncoder().encode(
      `{"layers":{"a":{"A":[[1,2],[${"1".repeat(INLINE_BYTES)}]]}}}`,
    );
    await rejects(codec.decode(ragged, "json"), {
      code: "invalid-tensor",
      facts: { pointer: "/layers/a/A/1", layer: "a", tensor: "A", value: 1 },
    });
    deepEqual(
      await codec.decode((await codec.encode(large(), "json", PLAIN_OUTPUT))[0], "json"),
      large(),
    );
  }));

Deno.test("close() fails what still waits", async () => {
  const codec = new Codec();
  const waiting = codec.encode(large(), "json", PLAIN_OUTPUT);
  codec.close();
  await rejects(waiting, { code: "draining" });
});

Deno.test("firstNonFinite() finds the first NaN or infinity, and none among ids", () => {
  equal(firstNonFinite(Float32Array.of(1, -3.4e38, 0)), -1);
  equal(firstNonFinite(Float32Array.of(1, -Infinity, NaN)), 1);
  equal(firstNonFinite(Float32Array.of(NaN)), 0);
  equal(firstNonFinite(Int32Array.of(-1)), -1);
  ok(firstNonFinite(new Float32Array(0)) === -1);
});
