/** Memory that is given back early: never before its bytes have left, and never another's. */
import { match, ok, strictEqual as equal } from "node:assert/strict";
import { giveBack } from "../../routes/memory.ts";
import { listen } from "../../routes/listen.ts";
import { Admission } from "@/admission/mod.ts";
import { decodeSafetensors, type Document, isTensor } from "@/wire/mod.ts";
import { type Answering, appWith, inverseAnswer, INVERSES } from "./fake_compute.ts";

async function serving(
  answer: Answering,
  run: (address: { hostname: string; port: number }) => Promise<void>,
  admission?: Admission,
): Promise<void> {
  const app = appWith(answer, admission && { admission });
  const listener = await listen(app.fetch, { host: "127.0.0.1", port: 0 });
  const { hostname, port } = new URL(listener.url);
  try {
    await run({ hostname, port: Number(port) });
  } finally {
    await listener.close(1000);
    app.codec.close();
  }
}

const headOf = (length: number, more = "") =>
  new TextEncoder().encode(
    "POST /v1/inverses HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" +
      `Accept: application/vnd.safetensors\r\nContent-Length: ${length}\r\n${more}\r\n`,
  );

Deno.test("giveBack() frees large pieces of memory whole, and no part of one", () => {
  const whole = new Uint8Array(2 ** 16), part = new Uint8Array(2 ** 16).subarray(1);
  giveBack(whole);
  giveBack(part);
  ok(whole.buffer.detached);
  equal(part.length, 2 ** 16 - 1);
  giveBack(whole); // twice does no harm
});

Deno.test("a client that reads late gets every byte of its answer, and then its memory is free", async () => {
  const d = 3000;
  let given: Document | undefined;
  await serving(() => given = inverseAnswer(d, 0.25), async (address) => {
    const connection = await Deno.connect(address);
    await connection.write(headOf(INVERSES.length, "Connection: close\r\n"));
    await connection.write(new TextEncoder().encode(INVERSES));
    await new Promise((resolve) => setTimeout(resolve, 300)); // all buffers on the way are full
    const bytes = new Uint8Array(await new Response(connection.readable).arrayBuffer());
    const head = new TextDecoder().decode(bytes.subarray(0, 4096));
    match(head, /^HTTP\/1\.1 200 OK\r\n/);
    const { tensors } = decodeSafetensors(bytes.slice(head.indexOf("\r\n\r\n") + 4));
    const values = tensors.get("fc1.A_inv")!.data;
    equal(values.length, d * d);
    ok(values.every((value) => value === 0.25));
  });
  const { A_inv } = given!.layers!.fc1;
  ok(isTensor(A_inv) && A_inv.data.buffer instanceof ArrayBuffer && A_inv.data.buffer.detached);
});

Deno.test("a body that is refused is read to its end: the connection serves the next request", async () => {
  const admission = new Admission({ requests: 1, bytes: 2 ** 30 });
  const begun = Promise.withResolvers<void>(), finish = Promise.withResolvers<void>();
  const answer: Answering = async () => (begun.resolve(), await finish.promise, inverseAnswer());
  await serving(answer, async (address) => {
    const first = await Deno.connect(address);
    await first.write(headOf(INVERSES.length));
    await first.write(new TextEncoder().encode(INVERSES));
    await begun.promise;

    const second = await Deno.connect(address);
    const body = new TextEncoder().encode(INVERSES.padEnd(800_000));
    for (let time = 0; time < 3; time++) {
      await second.write(headOf(body.length));
      for (let at = 0; at < body.length;) at += await second.write(body.subarray(at));
      const chunk = new Uint8Array(4096);
      const length = (await second.read(chunk))!;
      match(new TextDecoder().decode(chunk.subarray(0, length)), /^HTTP\/1\.1 429 .*queue-full/s);
    }
    second.close();
    finish.resolve();
    const chunk = new Uint8Array(4096);
    const length = (await first.read(chunk))!;
    match(new TextDecoder().decode(chunk.subarray(0, length)), /^HTTP\/1\.1 200 /);
    first.close();
  }, admission);
});
