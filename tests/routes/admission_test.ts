/** A request's place: refused before its body is read, given up at its deadline, left when its answer has gone. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { Admission } from "../../src/admission/mod.ts";
import { CurvdError } from "../../src/errors.ts";
import { Codec } from "../../src/wire/mod.ts";
import { listen } from "../../routes/listen.ts";
import { createApp } from "../../routes/mod.ts";
import { fakeCompute, inverseAnswer, INVERSES, JSON_HEADERS } from "./fake_compute.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** An app of few places, whose work ends when it is told. */
function busyApp({ requests = 2, bytes = Infinity } = {}) {
  const admission = new Admission({ requests, bytes });
  const release = Promise.withResolvers<void>();
  const compute = fakeCompute(async (_call, _request, signal) => {
    await Promise.race([
      release.promise,
      new Promise((_, reject) =>
        signal!.addEventListener("abort", () => reject(signal!.reason), { once: true })
      ),
    ]);
    return inverseAnswer();
  });
  const app = createApp({ compute, codec: new Codec(), maxBodyBytes: 2 ** 20, admission });
  const post = (headers: Record<string, string> = {}, body: BodyInit = INVERSES) =>
    app.request("/v1/inverses", { method: "POST", headers: { ...JSON_HEADERS, ...headers }, body });
  return { app, admission, release: release.resolve, post };
}

Deno.test("beyond the queue it is 429 with Retry-After, before the body is looked at", async () => {
  const { post, release, admission } = busyApp();
  const answers = [post(), post()];
  await pause(5);
  let read = 0;
  const unread = new ReadableStream({ pull: () => void read++ }, { highWaterMark: 0 });
  const refused = await post({ "content-length": "400000" }, unread);
  deepEqual([refused.status, refused.headers.get("retry-after"), read], [429, "1", 0]);
  equal((await refused.json()).type, "/problems/queue-full");
  release();
  for (const answer of answers) equal((await answer).status, 200);
  deepEqual(admission.facts(), { inside: 0, waiting: 0, inWork: 0, reservedBytes: 0 });
});

Deno.test("health, metadata and sessions' events take no place", async () => {
  const { app, post, release } = busyApp({ requests: 1 });
  const answer = post();
  await pause(5);
  for (const path of ["/health/live", "/health/ready", "/v1/device", "/v1/methods", "/docs"]) {
    equal((await app.request(path)).status, 200, path);
  }
  equal((await app.request("/v1/sessions")).status, 429);
  equal((await app.request("/v1/sessions/a/events")).status, 422, "this fake keeps no sessions");
  release();
  await answer;
});

Deno.test("Curvd-Timeout-Ms gives work up with 504, and frees its place", async () => {
  const { post, admission } = busyApp();
  const late = await post({ "curvd-timeout-ms": "20" });
  deepEqual([late.status, (await late.json()).type], [504, "/problems/deadline-exceeded"]);
  equal(admission.facts().inside, 0);
});

Deno.test("a timeout that is no number of milliseconds is refused by name", async () => {
  const { post } = busyApp();
  for (const timeout of ["0", "-1", "1.5", "soon", "99999999999"]) {
    const refused = await post({ "curvd-timeout-ms": timeout });
    equal(refused.status, 422);
    ok((await refused.json()).detail.includes("Curvd-Timeout-Ms"));
  }
});

Deno.test("a chunked body reserves the most it may have", async () => {
  const { app, admission, release } = busyApp();
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const answer = app.request("/v1/inverses", {
    method: "POST",
    headers: { ...JSON_HEADERS, "transfer-encoding": "chunked" },
    body: readable,
  });
  await pause(5);
  equal(admission.facts().reservedBytes, 4 * 2 ** 20);
  const writer = writable.getWriter();
  writer.write(new TextEncoder().encode(INVERSES));
  writer.close();
  release();
  equal((await answer).status, 200);
  equal(admission.facts().reservedBytes, 0);
});

Deno.test("a client that leaves frees its place, over HTTP, whether it waited, worked or sent", async () => {
  const { app, admission } = busyApp({ requests: 8 });
  const listener = await listen(app.fetch, { host: "127.0.0.1", port: 0 });
  const leaving = new AbortController();
  const post = (body: BodyInit) =>
    fetch(`${listener.url}/v1/inverses`, {
      method: "POST",
      headers: JSON_HEADERS,
      body,
      signal: leaving.signal,
    }).then(() => "answered", (error) => error.name);
  const endless = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      controller.enqueue(new TextEncoder().encode(" "));
      await pause(5);
    },
  });
  const all = [post(INVERSES), post(INVERSES), post(endless)];
  for (let i = 0; i < 200 && admission.facts().inside < 3; i++) await pause(5);
  equal(admission.facts().inside, 3);
  leaving.abort();
  deepEqual(await Promise.all(all), ["AbortError", "AbortError", "AbortError"]);
  for (let i = 0; i < 200 && admission.facts().inside > 0; i++) await pause(5);
  deepEqual(admission.facts(), { inside: 0, waiting: 0, inWork: 0, reservedBytes: 0 });
  await listener.close();
});

Deno.test("a place is left also where the work fails", async () => {
  const admission = new Admission({ requests: 1, bytes: Infinity });
  const compute = fakeCompute(() => Promise.reject(new CurvdError("not-finite", "no")));
  const app = createApp({ compute, codec: new Codec(), maxBodyBytes: 2 ** 20, admission });
  for (let i = 0; i < 3; i++) {
    const response = await app.request("/v1/inverses", {
      method: "POST",
      headers: JSON_HEADERS,
      body: INVERSES,
    });
    equal(response.status, 422);
    await response.body?.cancel();
  }
});
