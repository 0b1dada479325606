/** A device that is lost: what was in flight is refused and may come again, sessions go on from the store. */
import { ok, strictEqual as equal } from "node:assert/strict";
import { startStore } from "@/sessions/mod.ts";
import { Codec, decodeDocument, type Document, encodeDocument, PLAIN_OUTPUT } from "@/wire/mod.ts";
import { createApp } from "../../routes/mod.ts";
import { startCompute } from "../../src/compute/client.ts";
import { batch, DAMPING, LAYERS, SIZES } from "../sessions/batches.ts";
import { tensorIn, values } from "../sessions/support.ts";
import { distance, norm } from "../support/dense.ts";
import { isWithoutGpu } from "../support/gpu.ts";
import { gramMatrix } from "../support/matrices.ts";
import { joined } from "../wire/bytes.ts";

interface Answered {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: Document;
}

Deno.test({
  name:
    "a lost device refuses what is in flight with 503, and every session goes on from the store",
  ignore: isWithoutGpu,
  // The library's and the device's threads outlive the test.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    let worker: Worker | undefined;
    const open = () =>
      worker = new Worker(new URL("./losing_worker.ts", import.meta.url), { type: "module" });
    const store = await startStore(":memory:");
    const compute = await startCompute({ engine: "webgpu", blas: "auto" }, { open, store });
    const codec = new Codec();
    const app = createApp({ compute, codec, maxBodyBytes: 2 ** 26 });
    const post = async (path: string, document: Document, headers = {}): Promise<Answered> => {
      const response = await app.request(`/v1${path}`, {
        method: "POST",
        body: joined(encodeDocument(document, "safetensors", PLAIN_OUTPUT)),
        headers: { "content-type": "application/vnd.safetensors", ...headers },
      });
      const retryAfter = response.headers.get("retry-after");
      const bytes = await response.bytes();
      const body = response.status < 300 ? decodeDocument(bytes, "safetensors") : {};
      return { status: response.status, retryAfter, body };
    };
    const step = (id: string, at: number) =>
      post(`/sessions/${id}/steps`, { layers: batch(at) }, { "idempotency-key": `step ${at}` });
    const create = (id: string) =>
      post("/sessions", { id, method: "ekfac", layers: LAYERS, damping: DAMPING });
    const d = 192;
    const eigenbases = () =>
      post("/eigenbases", { layers: { fc: { A: values([d, d], gramMatrix(d, 1)) } } });

    const { error } = console;
    try {
      for (const id of ["one", "two"]) {
        equal((await create(id)).status, 201);
        for (const at of [0, 1]) equal((await step(id, at)).status, 200);
      }
      const first = worker!;
      console.error = () => {}; // the loss is logged
      const flying = [eigenbases(), step("one", 2), step("two", 2)];
      first.postMessage({ type: "lose" });
      flying.push(eigenbases(), step("one", 3));
      for (const { status, retryAfter } of await Promise.all(flying)) {
        equal(status, 503);
        ok(Number(retryAfter) >= 1, `Retry-After: ${retryAfter}`);
      }
      for (let i = 0; i < 400 && !compute.isReady(); i++) {
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
      ok(compute.isReady() && worker !== first, "another Worker opened the device");
      console.error = error;

      equal((await eigenbases()).status, 200);
      await create("steady");
      for (const at of [0, 1]) await step("steady", at);
      for (const at of [2, 3]) {
        const steady = await step("steady", at);
        for (const id of ["one", "two"]) {
          const { status, body } = await step(id, at);
          equal(status, 200);
          equal(body.revision, at + 1, "nothing was counted twice, nothing is missing");
          for (const name of Object.keys(SIZES)) {
            const [a, b] = [body, steady.body].map((of) => tensorIn(of, name, "update").data);
            ok(distance(a, b) <= 1e-5 * norm(b), `${id} ${name}`);
          }
        }
      }
    } finally {
      console.error = error;
      await compute.close();
      await store.close();
      codec.close();
    }
  },
});
