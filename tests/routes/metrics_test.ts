/** `GET /metrics`: every request counted once, under what became of it. */
import { match, ok, strictEqual as equal } from "node:assert/strict";
import { Codec } from "../../src/wire/mod.ts";
import { listen } from "../../routes/listen.ts";
import { createApp } from "../../routes/mod.ts";
import { appWith, fakeCompute, inverseAnswer, INVERSES, JSON_HEADERS } from "./fake_compute.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const post = { method: "POST", headers: JSON_HEADERS, body: INVERSES };

/** `curvd_requests_total` by its labels. */
function requestsIn(text: string): Map<string, number> {
  const lines = text.matchAll(/^curvd_requests_total\{(.*)\} (\d+)$/gm);
  return new Map([...lines].map(([, labels, count]) => [labels, Number(count)]));
}

const labels = (method: string, route: string, status: number, reason = "") =>
  `method="${method}",route="${route}",status="${status}",reason="${reason}"`;

Deno.test("requests are counted by the pattern of their path, their status and their problem", async () => {
  const app = appWith();
  await app.request("/v1/inverses", post);
  await app.request("/v1/inverses", post);
  await app.request("/v1/inverses", { ...post, body: "{" });
  await app.request("/v1/sessions/my-secret-session", { method: "GET" });
  await app.request("/no/such/path-of-a-client");
  await app.request("/health/live", { method: "BREW" });
  const response = await app.request("/metrics");
  match(response.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  const text = await response.text();
  const counted = requestsIn(text);
  equal(counted.get(labels("POST", "/v1/inverses", 200)), 2);
  equal(counted.get(labels("POST", "/v1/inverses", 400, "malformed-body")), 1);
  equal(counted.get(labels("GET", "/v1/sessions/:id", 422, "unsupported")), 1);
  equal(counted.get(labels("GET", "none", 404, "not-found")), 1);
  equal(counted.get(labels("other", "/health/live", 405, "method-not-allowed")), 1);
  ok(!/secret|no\/such|BREW/.test(text), "nothing that a client made up");
  match(text, /curvd_compute_seconds_count\{call="inverses",size="2"\} 2/);
});

Deno.test("the exposition is in Prometheus' form, each metric with help and type", async () => {
  const app = appWith();
  await app.request("/v1/inverses", post);
  const text = await (await app.request("/metrics")).text();
  const SAMPLE = /^[a-z_][a-z0-9_]*(\{([a-z_]+="[^"\\]*",?)*\})? [-+0-9.eInfNa]+$/;
  const declared = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name));
  for (const line of text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))) {
    match(line, SAMPLE);
    const name = /^\w+/.exec(line)![0];
    ok(declared.has(name) || declared.has(name.replace(/_(bucket|sum|count)$/, "")), line);
  }
});

Deno.test("a client that leaves is counted as 499, and once", async () => {
  const compute = fakeCompute((_call, _request, signal) =>
    new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)))
  );
  const app = createApp({ compute, codec: new Codec(), maxBodyBytes: 2 ** 20 });
  const listener = await listen(app.fetch, { host: "127.0.0.1", port: 0 });
  const leaving = new AbortController();
  const request = fetch(`${listener.url}/v1/inverses`, { ...post, signal: leaving.signal });
  await pause(50);
  leaving.abort();
  await request.catch(() => {});
  const count = async () =>
    requestsIn(await (await app.request("/metrics")).text())
      .get(labels("POST", "/v1/inverses", 499, "aborted"));
  for (let i = 0; i < 100 && !(await count()); i++) await pause(10);
  equal(await count(), 1);
  await listener.close();
});

Deno.test("over HTTP a whole answer is counted once, when it has left", async () => {
  const compute = fakeCompute(() => inverseAnswer());
  const app = createApp({ compute, codec: new Codec(), maxBodyBytes: 2 ** 20 });
  const listener = await listen(app.fetch, { host: "127.0.0.1", port: 0 });
  for (let i = 0; i < 3; i++) await (await fetch(`${listener.url}/v1/inverses`, post)).text();
  await pause(20);
  const text = await (await fetch(`${listener.url}/metrics`)).text();
  equal(requestsIn(text).get(labels("POST", "/v1/inverses", 200)), 3);
  match(text, /curvd_queue_requests\{state="inside"\} 0/);
  await listener.close();
});
