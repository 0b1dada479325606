import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { CurvdError, packError } from "../../src/errors.ts";
import {
  decodeDocument,
  decodeSafetensors,
  type Document,
  encodeDocument,
  PLAIN_OUTPUT,
  tensorOf,
  type WireTensor,
} from "../../src/wire/mod.ts";
import { joined } from "../wire/bytes.ts";
import { appWith, inverseAnswer, INVERSES, JSON_HEADERS, TIMING } from "./fake_compute.ts";

const SAFETENSORS = "application/vnd.safetensors";

const safetensorsBody = (document: Document) =>
  joined(encodeDocument(document, "safetensors", PLAIN_OUTPUT));
const inversesFile = () =>
  safetensorsBody({
    layers: { fc1: { A: tensorOf([2, 2], Float32Array.of(2, 0, 0, 3)) } },
    damping: 0.1,
  });

/** The Worker's times, and what the request waited for its turn before. */
function expectTiming({ wait_ms, total_ms, ...rest }: Record<string, number>): void {
  const queued = wait_ms - TIMING.wait_ms;
  ok(queued >= 0 && queued < 1000, `${queued}`);
  ok(Math.abs(total_ms - TIMING.total_ms - queued) < 1e-9);
  deepEqual(rest, { compute_ms: TIMING.compute_ms, read_ms: TIMING.read_ms });
}

const post = (
  app: ReturnType<typeof appWith>,
  body: BodyInit,
  headers: Record<string, string> = JSON_HEADERS,
) => app.request("/v1/inverses", { method: "POST", body, headers });

Deno.test("a JSON request is answered in JSON, tensors as the fewest digits", async () => {
  let seen: Document = {};
  const app = appWith((_, request) => {
    seen = request;
    return inverseAnswer();
  });
  const response = await post(app, INVERSES);
  equal(response.status, 200);
  equal(response.headers.get("content-type"), "application/json");
  match(response.headers.get("x-request-id")!, /^[\w-]+$/);
  const text = await response.text();
  equal(response.headers.get("content-length"), String(text.length));
  const { timing, ...rest } = JSON.parse(text);
  deepEqual(rest, {
    layers: { fc1: { A_inv: [[0.1, 0.1], [0.1, 0.1]], pi: 1 } },
    warnings: [],
  });
  expectTiming(timing);
  ok(!text.includes("0.10000000149"));
  deepEqual(seen.layers!.fc1.A, tensorOf([2, 2], Float32Array.of(2, 0, 0, 3)));
  equal(seen.damping, 0.1);
});

Deno.test("a safetensors request is answered in safetensors, also as octet-stream", async () => {
  for (const type of [SAFETENSORS, "application/octet-stream"]) {
    const response = await post(appWith(), inversesFile(), { "content-type": type });
    equal(response.status, 200);
    equal(response.headers.get("content-type"), SAFETENSORS);
    const { tensors, metadata } = decodeSafetensors(await response.bytes());
    deepEqual(tensors.get("fc1.A_inv")!.shape, [2, 2]);
    const { timing, ...rest } = JSON.parse(metadata.get("document")!);
    deepEqual(rest, { layers: { fc1: { pi: 1 } }, warnings: [] });
    expectTiming(timing);
  }
});

Deno.test("Accept asks for the other encoding, in both directions", async () => {
  const toFile = await post(appWith(), INVERSES, { ...JSON_HEADERS, accept: SAFETENSORS });
  equal(toFile.headers.get("content-type"), SAFETENSORS);
  equal(toFile.headers.get("vary"), "Accept");
  await toFile.body?.cancel();
  const toJson = await post(appWith(), inversesFile(), {
    "content-type": SAFETENSORS,
    accept: "application/json",
  });
  deepEqual((await toJson.json()).layers.fc1.A_inv, [[0.1, 0.1], [0.1, 0.1]]);
});

Deno.test("output shapes the answer", async () => {
  const request = { ...JSON.parse(INVERSES), output: { dtype: "F16", symmetric: "packed" } };
  const response = await post(appWith(), JSON.stringify(request), {
    ...JSON_HEADERS,
    accept: SAFETENSORS,
  });
  const { tensors } = decodeSafetensors(await response.bytes());
  const { dtype, shape } = tensors.get("fc1.A_inv")!;
  deepEqual({ dtype, shape }, { dtype: "F16", shape: [3] });
});

Deno.test("a large answer comes whole, in chunks", async () => {
  const app = appWith(() => inverseAnswer(1024, 0.25));
  const response = await post(app, inversesFile(), { "content-type": SAFETENSORS });
  const body = await response.bytes();
  equal(response.headers.get("content-length"), String(body.length));
  const { layers } = decodeDocument(body, "safetensors");
  ok((layers!.fc1.A_inv as WireTensor).data.every((value) => value === 0.25));
  app.codec.close();
});

Deno.test("Server-Timing tells what the answer's timing tells, and the receiving", async () => {
  const response = await post(appWith(), INVERSES);
  match(
    response.headers.get("server-timing")!,
    /^receive;dur=[\d.]+, wait;dur=[\d.]+, compute;dur=2\.00, read;dur=0\.50, total;dur=[\d.]+$/,
  );
  await response.body?.cancel();
});

Deno.test("a layer that failed alone answers a problem in its place", async () => {
  const error = new CurvdError("not-positive-definite", "pivot 3 is -1", { pivot: 3 });
  const app = appWith(() => ({
    layers: { fc1: { error: packError(error) }, fc2: {} },
    timing: TIMING,
    warnings: [],
  }));
  const response = await post(app, INVERSES, { ...JSON_HEADERS, "x-request-id": "req-1" });
  equal(response.status, 200);
  deepEqual((await response.json()).layers.fc1.error, {
    pivot: 3,
    type: "/problems/not-positive-definite",
    title: "A matrix is not positive definite at this damping",
    status: 422,
    detail: "pivot 3 is -1",
    instance: "req-1",
  });
});

Deno.test("the client's going away aborts the work", async () => {
  const leaving = new AbortController();
  const app = appWith((_call, _request, signal) =>
    new Promise((_, reject) => {
      signal!.addEventListener("abort", () => reject(new CurvdError("aborted", "left")));
      leaving.abort();
    })
  );
  const response = await app.request(
    new Request("http://curvd/v1/inverses", {
      method: "POST",
      body: INVERSES,
      headers: JSON_HEADERS,
      signal: leaving.signal,
    }),
  );
  equal(response.status, 499);
  await response.body?.cancel();
});
