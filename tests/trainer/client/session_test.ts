/** Sessions through the client, over a server's own routes and host: every call, and what retries may not do. */
import {
  deepStrictEqual as deepEqual,
  notStrictEqual as notEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { type ClientOptions, CurvdClient, type SessionEvent } from "@/trainer/mod.ts";
import { type Encoding, isTensor, tensorOf } from "@/wire/documents.ts";
import { startServer } from "../../sessions/server_process.ts";

const server = await startServer(":memory:");
Deno.test.afterAll(() => server.kill("SIGTERM"));
const client = new CurvdClient(server.url);

const QUICK = { attempts: 3, baseMs: 1, capMs: 2 };
const values = (shape: number[], ...data: number[]) => tensorOf(shape, Float32Array.from(data));
const batch = {
  inputs: values([3, 2], 1, 2, 0.5, -1, 2, 1),
  output_gradients: values([3, 2], 1, -0.5, 0.25, 1, -1, 0.75),
};
const gradient = { gradient: values([2, 2], 1, 2, 3, 4), bias_gradient: values([2], 5, 6) };
const layers = { "net.fc": { kind: "dense", layout: "io" } } as const;

for (const encoding of ["json", "safetensors"] satisfies Encoding[]) {
  Deno.test(`a session's whole life in ${encoding}`, async () => {
    const client = new CurvdClient(server.url, { encoding });
    const { session, answer } = await client.createSession({ layers, damping: 0.1 });
    deepEqual([answer.version, answer.revision, session.id], [0, 0, answer.id]);

    equal((await session.statistics({ layers: { "net.fc": batch } })).version, 1);
    const stepped = await session.steps({
      fisher: "empirical",
      layers: { "net.fc": { ...batch, ...gradient } },
    });
    deepEqual([stepped.version, stepped.revision], [1, 2]);
    const { layers: updates, age } = await session.updates({ layers: { "net.fc": gradient } });
    equal(age, 1);
    deepEqual([...updates["net.fc"].update.data], [...stepped.layers["net.fc"].update.data]);
    deepEqual(updates["net.fc"].update.shape, [2, 2]);

    equal((await session.refresh()).version, 2);
    equal((await session.patch({ damping: 0.2 })).damping, 0.2);
    const factors = await session.factors();
    ok(isTensor((factors.layers["net.fc"] as { A: unknown }).A));
    deepEqual((await session.inspect()).damping, 0.2);
    ok((await client.sessions()).some(({ id }) => id === session.id));

    const first = await session.preconditioner();
    ok(isTensor((first.document!.layers["net.fc"] as { A_inv: unknown }).A_inv));
    const again = await session.preconditioner({ known: first.etag });
    deepEqual(again, { etag: first.etag, document: null });

    const file = await session.checkpoint();
    await session.delete();
    await rejects(session.inspect(), { code: "not-found" });
    equal((await session.restore(file)).version, 2);
    deepEqual((await session.factors()).layers, factors.layers);
    await session.delete();
  });
}

/** A client whose first answer to each changing request is lost on its way, after the server gave it. */
function forgetful(options: ClientOptions = {}): { client: CurvdClient; lost: () => number } {
  let lost = 0;
  const seen = new Set<string>();
  const fetch = (async (input: RequestInfo | URL, init?: RequestInit) => {
    const response = await globalThis.fetch(input, init);
    const key = new Headers(init?.headers).get("idempotency-key");
    if (key === null || seen.has(key)) return response;
    seen.add(key);
    await response.body?.cancel();
    lost++;
    throw new TypeError("connection reset");
  }) as typeof globalThis.fetch;
  return {
    client: new CurvdClient(server.url, { fetch, retry: QUICK, ...options }),
    lost: () => lost,
  };
}

Deno.test("a change whose answer is lost is sent again and counted once: revisions, batches and averages say so", async () => {
  const { client: retrying, lost } = forgetful();
  const request = { fisher: "empirical", layers: { "net.fc": { ...batch, ...gradient } } } as const;
  const run = async (client: CurvdClient) => {
    const { session } = await client.createSession({ layers, damping: 0.1 });
    const updates = [];
    for (let step = 0; step < 4; step++) updates.push(await session.steps(request));
    await session.statistics({ layers: { "net.fc": batch } });
    await session.refresh();
    await session.patch({ damping: 0.3 });
    return { updates, state: await session.inspect(), factors: await session.factors(), session };
  };
  const [plain, retried] = [await run(client), await run(retrying)];
  equal(lost(), 8);
  ok(retried.updates.every(({ replayed }) => replayed === true));
  deepEqual(
    [retried.state.revision, retried.state.version],
    [plain.state.revision, plain.state.version],
  );
  equal(retried.state.layers["net.fc"].batches, 5);
  deepEqual(retried.factors.layers, plain.factors.layers);
  deepEqual(
    retried.updates.map(({ layers }) => layers["net.fc"].update.data),
    plain.updates.map(({ layers }) => layers["net.fc"].update.data),
  );
  await retried.session.delete();
  await plain.session.delete();
});

Deno.test("a new call has a new key, a key given is kept", async () => {
  const { session } = await client.createSession({ layers, damping: 0.1 });
  const request = { layers: { "net.fc": batch } };
  notEqual((await session.statistics(request)).replayed, true);
  equal((await session.statistics(request)).revision, 2);
  await session.statistics(request, { key: "mine" });
  const again = await session.statistics(request, { key: "mine" });
  deepEqual([again.revision, again.replayed], [3, true]);
  await session.delete();
});

Deno.test("a revision that has passed is refused", async () => {
  const { session } = await client.createSession({ layers, damping: 0.1 });
  await session.statistics({ layers: { "net.fc": batch } }, { revision: 0 });
  await rejects(session.refresh({ revision: 0 }), { code: "precondition-failed" });
  await session.delete();
});

Deno.test("16-bit and packed tensors are rounded on the wire alone", async () => {
  const exact = await client.call("factors", { layers: { fc: { kind: "dense", ...batch } } });
  const short = new CurvdClient(server.url, {
    send: { dtype: "F16" },
    receive: { dtype: "BF16", symmetric: "packed" },
  });
  const { layers: { fc } } = await short.call("factors", {
    layers: { fc: { kind: "dense", ...batch } },
  });
  deepEqual(fc.A!.shape, [6]); // 3·4/2 numbers of a 3 × 3 triangle
  const full = exact.layers.fc.A!.data;
  const triangle = [0, 1, 2, 4, 5, 8].map((at) => full[at]);
  ok(triangle.every((value, i) => Math.abs(fc.A!.data[i] - value) <= 2 ** -8 * Math.abs(value)));

  const steps = { fisher: "empirical", layers: { "net.fc": { ...batch, ...gradient } } } as const;
  const { session } = await short.createSession({ layers, damping: 0.1 });
  await session.steps(steps);
  const { document } = await session.preconditioner();
  deepEqual((document!.layers["net.fc"] as { A_inv: { shape: number[] } }).A_inv.shape, [6]);
  await session.delete();

  const large = { kind: "dense", ...batch, inputs: values([1, 2], 1e6, 1) } as const;
  await rejects(short.call("factors", { layers: { fc: large } }), { code: "overflow" });
});

Deno.test("events tell of steps and refreshes as they happen, and end with the session", async () => {
  const { session } = await client.createSession({ layers, damping: 0.1, refresh: { every: 2 } });
  const events: SessionEvent[] = [];
  const { promise: opened, resolve } = Promise.withResolvers<void>();
  const watching = (async () => {
    const stream = session.events();
    const first = stream.next();
    setTimeout(resolve, 100);
    for (let { value, done } = await first; !done; { value, done } = await stream.next()) {
      events.push(value!);
    }
  })();
  await opened;
  const request = { fisher: "empirical", layers: { "net.fc": { ...batch, ...gradient } } } as const;
  for (let step = 0; step < 3; step++) await session.steps(request);
  await session.delete();
  await watching;
  const names = events.map(({ event }) => event);
  deepEqual(names.filter((name) => name === "step").length, 3);
  deepEqual(names.filter((name) => name === "refresh").length, 2);
  equal(names.at(-1), "deleted");
  equal(events.filter(({ event }) => event === "step").at(-1)!.revision, 3);
});

Deno.test("watching ends quietly when it is aborted, and loudly where there is no session", async () => {
  const { session } = await client.createSession({ layers, damping: 0.1 });
  const leaving = new AbortController();
  setTimeout(() => leaving.abort(), 50);
  for await (const _ of session.events({ signal: leaving.signal })) ok(false, "nothing happens");
  await session.delete();
  await rejects(async () => {
    for await (const _ of session.events());
  }, { code: "not-found" });
});

Deno.test("isReady() is false where nothing answers", async () => {
  equal(await client.isReady(), true);
  equal(await new CurvdClient("http://127.0.0.1:9").isReady(), false);
});

Deno.test("methods() lists what the optimizer may ask for", async () => {
  const { methods } = await client.methods();
  ok(["kfac", "soap"].every((name) => methods.some(({ method }) => method === name)));
});
