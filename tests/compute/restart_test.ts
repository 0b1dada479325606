/** The compute Worker crashes at work: what was in flight fails with 503, sessions come back as they were answered. */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { startCompute } from "../../src/compute/client.ts";
import { startStore } from "../../src/sessions/mod.ts";
import { Codec, encodeDocument, PLAIN_OUTPUT, tensorOf } from "../../src/wire/mod.ts";
import { createApp } from "../../routes/mod.ts";
import { joined } from "../wire/bytes.ts";
import { JSON_HEADERS } from "../routes/fake_compute.ts";
import type { CrashOrder } from "./crashing_worker.ts";

const STEP = {
  fisher: "empirical",
  layers: {
    fc1: {
      inputs: [[1, 2, 0.5], [0, 1, -1], [2, 0, 1], [-1, 1, 0]],
      output_gradients: [[0.5, -0.25], [1, 0], [-0.5, 0.75], [0.25, 1]],
    },
  },
};

/** A request that takes a while: the eigenvectors of a large matrix. */
function longRequest(): RequestInit {
  const d = 1500;
  const A = tensorOf([d, d], new Float32Array(d * d));
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < d; j++) A.data[i * d + j] = 1 / (1 + Math.abs(i - j));
  }
  const body = joined(encodeDocument({ layers: { l: { A } } }, "safetensors", PLAIN_OUTPUT));
  return { method: "POST", headers: { "content-type": "application/octet-stream" }, body };
}

Deno.test({
  name: "a crash fails what was in flight, and sessions come back from the store",
  sanitizeOps: false, // a terminated Worker leaves its library's threads
  sanitizeResources: false,
  fn: async () => {
    const store = await startStore(":memory:");
    let restarts = 0;
    let worker: Worker | undefined;
    const open = () =>
      worker = new Worker(new URL("./crashing_worker.ts", import.meta.url), { type: "module" });
    const compute = await startCompute({ engine: "cpu", blas: "auto" }, { open, store });
    compute.observe({ restart: () => restarts++ });
    const codec = new Codec();
    const app = createApp({ compute, codec, maxBodyBytes: 2 ** 28 });
    const send = async (path: string, body?: unknown, method = "POST") => {
      const response = await app.request(`/v1/sessions${path}`, {
        method,
        ...(body ? { headers: JSON_HEADERS, body: JSON.stringify(body) } : {}),
      });
      return { status: response.status, body: await response.json() };
    };
    const layers = { fc1: { kind: "dense", bias: false, d_in: 3, d_out: 2 } };
    await send("", { id: "s", method: "kfac", damping: 0.01, layers });
    for (let i = 0; i < 3; i++) equal((await send("/s/steps", STEP)).status, 200);
    const before = (await send("/s", undefined, "GET")).body;

    // Amid the first call, while the library computes. The built-in arithmetic keeps the Worker's
    // thread until it has answered: there it is when the first call has come.
    const afterMs = (await compute.device()).blas === null ? 0 : 100;
    worker!.postMessage({ type: "crash", afterMs } satisfies CrashOrder);
    const inFlight = [
      app.request("/v1/eigenbases", longRequest()),
      app.request("/v1/eigenbases", longRequest()),
    ];
    for (const [index, request] of inFlight.entries()) {
      const response = await request;
      deepEqual([response.status, response.headers.get("retry-after")], [503, "1"]);
      const { type, detail } = await response.json();
      equal(type, "/problems/device-lost");
      // the second may still be on its way, and is refused at the door
      if (index === 0) match(detail, /the compute Worker met a bug/);
    }
    equal((await app.request("/health/ready")).status, 503);
    equal((await app.request("/health/live")).status, 200);

    // the library's call comes to its end first
    for (let i = 0; i < 1600 && !compute.isReady(); i++) {
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    ok(compute.isReady());
    equal(restarts, 1);
    deepEqual((await send("/s", undefined, "GET")).body, before);
    const { status, body } = await send("/s/steps", STEP);
    deepEqual([status, body.revision], [200, 4]);
    await compute.close();
    await store.close();
    codec.close();
  },
});
