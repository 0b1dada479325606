/** Readiness: the store is asked, and what is not ready is named. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { startStore } from "../../src/sessions/mod.ts";
import { healthRoutes } from "../../routes/health.ts";
import { onError } from "../../routes/problem.ts";

const compute = { isReady: () => true };
const isDraining = () => false;

async function ready(store: { probe(): Promise<void> }) {
  const app = healthRoutes({ compute, store, isDraining });
  app.onError(onError);
  const response = await app.request("/ready");
  return { status: response.status, body: await response.json() };
}

Deno.test("a store that can be written to is ready", async () => {
  const folder = await Deno.makeTempDir();
  const store = await startStore(folder);
  deepEqual(await ready(store), {
    status: 200,
    body: { status: "ready", parts: { server: "ready", device: "ready", store: "ready" } },
  });
  await store.close();
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a store that cannot be written to is named, with 503 and why", async () => {
  const { status, body } = await ready({
    probe: () => Promise.reject(new Error("the disk is full")),
  });
  equal(status, 503);
  equal(body.type, "/problems/not-ready");
  deepEqual(body.parts, { server: "ready", device: "ready", store: "the disk is full" });
});

Deno.test("a store that does not answer is not waited for without end", async () => {
  const store = await startStore(":memory:", undefined, 20);
  const port = store.connect();
  const record = { session: "s", kind: "entry", revision: 0 };
  port.postMessage({ type: "begin", draft: 0, record });
  // what keeps the store's thread for longer than the probe waits
  const large = new Uint8Array(2 ** 28);
  port.postMessage({ type: "write", id: 0, draft: 0, parts: [large] }, [large.buffer]);
  let isDone = false;
  port.onmessage = () => isDone = true;
  let answer = await ready(store);
  while (answer.status === 200 && !isDone) answer = await ready(store);
  equal(answer.status, 503);
  ok(/20 ms/.test(answer.body.detail), answer.body.detail);
  await store.close();
});
