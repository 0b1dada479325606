/** Every refusal: its status, its media type, and the facts that name the cause. */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import type { LogRecord } from "@logtape/logtape";
import { CurvdError } from "../../src/errors.ts";
import { configureLog } from "../../src/log.ts";
import { validate } from "../../src/wire/mod.ts";
import { Problem } from "../../src/wire/mod.ts";
import { PROBLEMS } from "../../routes/problem.ts";
import { appWith, INVERSES, JSON_HEADERS } from "./fake_compute.ts";

interface Refusal {
  status: number;
  code: string;
  facts?: Record<string, unknown>;
  detail?: RegExp;
}

async function expectProblem(response: Response, refusal: Refusal): Promise<Problem> {
  const { status, code, facts = {}, detail = /./ } = refusal;
  equal(response.status, status);
  equal(response.headers.get("content-type"), "application/problem+json");
  const problem = validate(Problem, await response.json());
  equal(problem.type, `/problems/${code}`);
  equal(problem.status, status);
  equal(problem.instance, response.headers.get("x-request-id"));
  ok(problem.title.length > 0);
  match(problem.detail, detail);
  for (const [fact, value] of Object.entries(facts)) deepEqual(problem[fact], value, fact);
  return problem;
}

const post = (path: string, body?: BodyInit, headers: Record<string, string> = JSON_HEADERS) =>
  appWith().request(path, { method: "POST", body, headers });

const layer = (fields: object, more: object = {}) =>
  JSON.stringify({ layers: { fc1: fields }, ...more });

const BODIES: Record<string, [path: string, body: string, refusal: Refusal]> = {
  "an empty body": ["inverses", "", { status: 400, code: "malformed-body", detail: /empty/ }],
  "a body that is no JSON": ["inverses", "{", { status: 400, code: "malformed-body" }],
  "2 Mi numbers of JSON": [
    "inverses",
    `{"layers":{"a":{"A":[${"1,".repeat(2 ** 21)}1]}}}`,
    { status: 413, code: "body-too-large", facts: { limit: 2 ** 20 } },
  ],
  "an unknown field": [
    "inverses",
    layer({ A: [[1]] }, { dampling: 1 }),
    {
      status: 422,
      code: "invalid-request",
      facts: { pointer: "/dampling", suggestion: 'did you mean "damping"?' },
    },
  ],
  "an unknown method": [
    "updates",
    layer({ kind: "dense", bias: false, gradient: [[1]], A: [[1]], G: [[1]] }, {
      damping: 1,
      method: "newton",
    }),
    { status: 422, code: "invalid-request", facts: { value: "newton", pointer: "/method" } },
  ],
  "negative damping": [
    "inverses",
    layer({ A: [[1]] }, { damping: -0.5 }),
    { status: 422, code: "invalid-request", facts: { pointer: "/damping", value: -0.5 } },
  ],
  "ragged nested arrays": [
    "inverses",
    layer({ A: [[1, 2], [3]] }),
    {
      status: 422,
      code: "invalid-tensor",
      facts: { layer: "fc1", tensor: "A", pointer: "/layers/fc1/A/1" },
    },
  ],
  "NaN as a string": [
    "inverses",
    layer({ A: [["NaN"]] }),
    {
      status: 422,
      code: "invalid-tensor",
      facts: { layer: "fc1", tensor: "A", pointer: "/layers/fc1/A/0/0", value: "NaN" },
    },
  ],
  "a tensor of the wrong rank": [
    "factors",
    layer({ kind: "dense", inputs: [1, 2, 3] }),
    { status: 422, code: "invalid-tensor", facts: { tensor: "inputs", value: [3] } },
  ],
};

for (const [what, [noun, body, refusal]] of Object.entries(BODIES)) {
  Deno.test(`${what} is refused with ${refusal.status} ${refusal.code}`, async () => {
    const app = appWith();
    const response = await app.request(`/v1/${noun}`, {
      method: "POST",
      body,
      headers: JSON_HEADERS,
    });
    await expectProblem(response, refusal);
    app.codec.close();
  });
}

Deno.test("a lying safetensors header is refused with 400 and the byte offset", async () => {
  const file = new Uint8Array(64);
  new DataView(file.buffer).setBigUint64(0, 1000n, true);
  const response = await post("/v1/inverses", file, {
    "content-type": "application/vnd.safetensors",
  });
  await expectProblem(response, { status: 400, code: "malformed-body", facts: { offset: 64 } });
});

Deno.test("a media type that is not taken is refused with 415 and those that are", async () => {
  const limit = ["application/json", "application/vnd.safetensors"];
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "image/png"]) {
    const response = await post("/v1/inverses", INVERSES, { "content-type": type });
    await expectProblem(response, {
      status: 415,
      code: "unsupported-media-type",
      facts: { limit },
    });
  }
  const bare = await post("/v1/inverses", new Uint8Array(2), {});
  await expectProblem(bare, {
    status: 415,
    code: "unsupported-media-type",
    detail: /no Content-Type/,
  });
  const zipped = await post("/v1/inverses", INVERSES, {
    ...JSON_HEADERS,
    "content-encoding": "gzip",
  });
  await expectProblem(zipped, {
    status: 415,
    code: "unsupported-media-type",
    detail: /compressed/,
  });
});

Deno.test("an Accept that is not offered is refused with 406, before the body is read", async () => {
  for (const accept of ["text/html", "application/json;q=0", "image/*"]) {
    const response = await post("/v1/inverses", "not even JSON", { ...JSON_HEADERS, accept });
    await expectProblem(response, {
      status: 406,
      code: "not-acceptable",
      facts: { value: accept },
    });
  }
});

Deno.test("a declared length over the limit is refused before a byte is read", async () => {
  let pulled = 0;
  const body = new ReadableStream({
    pull(stream) {
      pulled++;
      stream.enqueue(new Uint8Array(1024));
    },
  }, { highWaterMark: 0 });
  const request = new Request("http://curvd/v1/inverses", {
    method: "POST",
    body,
    headers: { ...JSON_HEADERS, "content-length": "10000000000" },
  });
  const response = await appWith().request(request);
  await expectProblem(response, {
    status: 413,
    code: "body-too-large",
    facts: { value: 1e10, limit: 2 ** 20 },
  });
  equal(response.headers.get("connection"), "close");
  equal(pulled, 0);
});

Deno.test("a chunked body is counted, and refused as soon as it passes the limit", async () => {
  let sent = 0;
  const body = new ReadableStream({
    pull(stream) {
      sent += 2 ** 16;
      stream.enqueue(new Uint8Array(2 ** 16));
    },
  }, { highWaterMark: 0 });
  const response = await post("/v1/inverses", body);
  await expectProblem(response, { status: 413, code: "body-too-large" });
  ok(sent <= 2 ** 20 + 2 * 2 ** 16, `${sent} bytes were taken`);
});

Deno.test("a chunked body within the limit is read whole", async () => {
  const bytes = new TextEncoder().encode(INVERSES);
  const body = ReadableStream.from(Array.from(bytes, (byte) => Uint8Array.of(byte)));
  const response = await post("/v1/inverses", body);
  equal(response.status, 200);
  await response.body?.cancel();
});

Deno.test("an upload that breaks off is no bug of the server", async () => {
  const body = new ReadableStream({ pull: (stream) => stream.error(new Error("reset")) });
  await expectProblem(await post("/v1/inverses", body), { status: 499, code: "aborted" });
});

Deno.test("an unknown path is refused with 404", async () => {
  for (const path of ["/v1/nothing", "/v3/inverses", "/v1/inverses/x", "/problems/nothing"]) {
    await expectProblem(await appWith().request(path), { status: 404, code: "not-found" });
  }
});

Deno.test("a wrong method is refused with 405 and Allow", async () => {
  const wrong = [
    ["GET", "/v1/inverses", "POST, OPTIONS"],
    ["DELETE", "/v1/inverses", "POST, OPTIONS"],
    ["POST", "/v1/device", "GET, HEAD, OPTIONS"],
    ["PUT", "/health/live", "GET, HEAD, OPTIONS"],
    ["POST", "/", "GET, HEAD, OPTIONS"],
  ];
  for (const [method, path, allow] of wrong) {
    const response = await appWith().request(path, { method });
    equal(response.headers.get("allow"), allow);
    await expectProblem(response, { status: 405, code: "method-not-allowed" });
  }
  const options = await appWith().request("/v1/inverses", { method: "OPTIONS" });
  deepEqual([options.status, options.headers.get("allow")], [204, "POST, OPTIONS"]);
});

Deno.test("a numerical failure keeps its facts, also those that JSON cannot hold", async () => {
  const app = appWith(() => {
    throw new CurvdError("not-positive-definite", "Cannot invert", {
      layer: "fc1",
      tensor: "A",
      size: 3,
      pivot: 2,
      value: NaN,
      suggestion: "damping 0.1 would serve",
    });
  });
  const response = await app.request("/v1/inverses", {
    method: "POST",
    body: INVERSES,
    headers: JSON_HEADERS,
  });
  await expectProblem(response, {
    status: 422,
    code: "not-positive-definite",
    facts: {
      layer: "fc1",
      tensor: "A",
      size: 3,
      pivot: 2,
      value: "NaN",
      suggestion: "damping 0.1 would serve",
    },
  });
});

Deno.test("a bug is a 500 that tells the client nothing of the inside", async () => {
  const app = appWith(() => {
    throw new TypeError("secret of the inside");
  });
  const logged: LogRecord[] = [];
  configureLog({ format: "json", level: "error" }, (event) => logged.push(event));
  const response = await app.request("/v1/inverses", {
    method: "POST",
    body: INVERSES,
    headers: JSON_HEADERS,
  });
  const problem = await expectProblem(response, { status: 500, code: "internal" });
  ok(!JSON.stringify(problem).includes("secret"));
  const [{ properties }] = logged;
  equal(properties.request, problem.instance);
  match(String(properties.error), /secret of the inside/);
  app.codec.close();
});

Deno.test("a lost device is a 503 with Retry-After", async () => {
  const app = appWith(() => {
    throw new CurvdError("device-lost", "gone", { retryAfter: 3 });
  });
  const response = await app.request("/v1/inverses", {
    method: "POST",
    body: INVERSES,
    headers: JSON_HEADERS,
  });
  equal(response.headers.get("retry-after"), "3");
  await expectProblem(response, { status: 503, code: "device-lost" });
});

Deno.test("every kind of problem is described where its type points", async () => {
  for (const [code, [status, title]] of Object.entries(PROBLEMS)) {
    const response = await appWith().request(`/problems/${code}`);
    deepEqual(await response.json(), { type: `/problems/${code}`, title, status });
  }
});
