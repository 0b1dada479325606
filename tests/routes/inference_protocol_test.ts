/** `/v2`, against a compute side that a test controls. */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { CurvdError } from "../../src/errors.ts";
import { type Document, tensorOf } from "../../src/wire/mod.ts";
import { listen } from "../../routes/listen.ts";
import { joined } from "../wire/bytes.ts";
import { type Answering, appWith, inverseAnswer } from "./fake_compute.ts";

const HEAD_LENGTH = "inference-header-content-length";
const A = Float32Array.of(2, 0, 0, 3);
const REQUEST = {
  id: "train-1",
  inputs: [{ name: "fc1.A", datatype: "FP32", shape: [2, 2], data: [...A] }],
  parameters: { damping: 0.1 },
};

async function infer(
  answer: Answering,
  message: unknown,
  tail: Float32Array<ArrayBuffer> | null = null,
  { maxBodyBytes, headers = {} }: { maxBodyBytes?: number; headers?: Record<string, string> } = {},
): Promise<Response> {
  const head = new TextEncoder().encode(JSON.stringify(message));
  const body = tail === null ? head : joined([head, new Uint8Array(tail.buffer)]);
  const length = { "content-length": String(body.length) };
  return await appWith(answer, { maxBodyBytes }).request("/v2/models/inverses/infer", {
    method: "POST",
    body,
    headers: { ...length, ...(tail ? { [HEAD_LENGTH]: String(head.length) } : {}), ...headers },
  });
}

Deno.test("a request as JSON reaches the native call and is answered as JSON", async () => {
  let seen: Document = {};
  const response = await infer((_, request) => {
    seen = request;
    return inverseAnswer();
  }, REQUEST);
  equal(response.status, 200);
  equal(response.headers.get("content-type"), "application/json");
  equal(response.headers.get(HEAD_LENGTH), null);
  match(response.headers.get("server-timing")!, /compute;dur=2\.00/);
  const { outputs, parameters, ...rest } = await response.json();
  deepEqual(rest, { model_name: "inverses", model_version: "1", id: "train-1" });
  deepEqual(outputs[0].data, [0.1, 0.1, 0.1, 0.1]);
  equal(JSON.parse(parameters.document).layers.fc1.pi, 1);
  deepEqual(seen.layers!.fc1.A, tensorOf([2, 2], A));
  equal(seen.damping, 0.1);
});

Deno.test("tensors may follow the JSON as bytes, in the request and in the answer", async () => {
  let seen: Document = {};
  const response = await infer((_, request) => {
    seen = request;
    return inverseAnswer(3, 0.5);
  }, {
    inputs: [{
      name: "fc1.A",
      datatype: "FP32",
      shape: [2, 2],
      parameters: { binary_data_size: 16 },
    }],
    parameters: { binary_data_output: true },
  }, A);
  equal(response.status, 200);
  equal(response.headers.get("content-type"), "application/octet-stream");
  const body = await response.bytes();
  equal(response.headers.get("content-length"), String(body.length));
  const headBytes = Number(response.headers.get(HEAD_LENGTH));
  const head = JSON.parse(new TextDecoder().decode(body.slice(0, headBytes)));
  deepEqual(head.outputs, [{
    name: "fc1.A_inv",
    datatype: "FP32",
    shape: [3, 3],
    parameters: { binary_data_size: 36 },
  }]);
  deepEqual(new Float32Array(body.slice(headBytes).buffer), new Float32Array(9).fill(0.5));
  deepEqual(seen.layers!.fc1.A, tensorOf([2, 2], A));
});

Deno.test("refusals are the native ones, with the protocol's error beside them", async () => {
  const refusals: [Promise<Response>, number, RegExp][] = [
    [infer(() => inverseAnswer(), { ...REQUEST, inputs: [] }), 422, /layers is missing/],
    [infer(() => inverseAnswer(), { ...REQUEST, typo: 1 }), 422, /Unknown field "typo"/],
    [infer(() => inverseAnswer(), REQUEST, A), 400, /end after 16 bytes of data, the file has 32/],
    [
      infer(() => inverseAnswer(), REQUEST, null, { headers: { "content-encoding": "gzip" } }),
      415,
      /compressed/,
    ],
    [
      infer(() => inverseAnswer(), REQUEST, null, { headers: { [HEAD_LENGTH]: "9999" } }),
      400,
      /JSON should have 9999 bytes, the body ends after \d+/,
    ],
    [
      infer(() => inverseAnswer(), REQUEST, null, { headers: { [HEAD_LENGTH]: "-1" } }),
      400,
      /must be an integer/,
    ],
    [
      infer(() => inverseAnswer(), REQUEST, null, { headers: { [HEAD_LENGTH]: "2000000" } }),
      413,
      /1048576 bytes/,
    ],
    [infer(() => inverseAnswer(), REQUEST, A, { maxBodyBytes: 64 }), 413, /A body may have 64/],
    [
      infer(() => {
        throw new CurvdError("not-positive-definite", "Pivot 2", { suggestion: "damping 3" });
      }, REQUEST),
      422,
      /^Pivot 2; damping 3$/,
    ],
    [
      infer(() => {
        throw new CurvdError("device-lost", "Gone");
      }, REQUEST),
      503,
      /^Gone$/,
    ],
  ];
  for (const [refused, status, message] of refusals) {
    const response = await refused;
    const body = await response.json();
    equal(response.status, status, body.error);
    match(body.type, /^\/problems\//);
    match(body.error, message);
    if (status === 503) equal(response.headers.get("retry-after"), "5");
  }
});

Deno.test("the tensors of a chunked body are counted as they come", async () => {
  const message = {
    inputs: [{
      name: "fc1.A",
      datatype: "FP32",
      shape: [2, 2],
      parameters: { binary_data_size: 16 },
    }],
  };
  const head = new TextEncoder().encode(JSON.stringify(message));
  const bytes = joined([head, new Uint8Array(A.buffer)]);
  const chunks = Array.from(bytes, (_, at) => bytes.slice(at, at + 1));
  const send = (app: ReturnType<typeof appWith>) =>
    app.request("/v2/models/inverses/infer", {
      method: "POST",
      body: ReadableStream.from(chunks),
      headers: { [HEAD_LENGTH]: String(head.length) },
    });
  let seen: Document = {};
  const answered = await send(appWith((_, request) => {
    seen = request;
    return inverseAnswer();
  }));
  equal(answered.status, 200, await answered.text());
  deepEqual(seen.layers!.fc1.A, tensorOf([2, 2], A));
  const refused = await send(appWith(undefined, { maxBodyBytes: 64 }));
  equal(refused.status, 413, await refused.text());
});

Deno.test("over a connection, the native call reads what was translated", async () => {
  let seen: Document = {};
  const app = appWith((_, request) => {
    seen = request;
    return inverseAnswer();
  });
  const listener = await listen(app.fetch, { host: "127.0.0.1", port: 0 });
  const url = `${listener.url}/v2/models/inverses/infer`;
  const binary = { parameters: { binary_data_size: 16 }, data: undefined };
  const head = new TextEncoder().encode(
    JSON.stringify({ inputs: [{ ...REQUEST.inputs[0], ...binary }] }),
  );
  for (
    const init of [
      { body: JSON.stringify(REQUEST) },
      {
        body: joined([head, new Uint8Array(A.buffer)]),
        headers: { [HEAD_LENGTH]: String(head.length) },
      },
    ]
  ) {
    const response = await fetch(url, { method: "POST", ...init });
    deepEqual([response.status, (await response.json()).outputs?.[0].shape], [200, [2, 2]]);
    deepEqual(seen.layers!.fc1.A, tensorOf([2, 2], A));
  }
  await listener.close();
});

Deno.test("server, models and health say what they are", async () => {
  const get = async (path: string, app = appWith()) => {
    const response = await app.request(path);
    return [response.status, await response.json()] as const;
  };
  deepEqual(await get("/v2"), [
    200,
    { name: "curvd", version: "1", extensions: ["binary_tensor_data"] },
  ]);
  deepEqual(await get("/v2/health/live"), [200, { live: true }]);
  deepEqual(await get("/v2/health/ready"), [200, { ready: true }]);
  const lost = appWith(undefined, { isReady: () => false });
  ok("error" in (await get("/v2/health/ready", lost))[1]);
  deepEqual(await get("/v2/models/inverses/ready"), [200, { name: "inverses", ready: true }]);
  deepEqual(await get("/v2/models/inverses/ready", lost), [
    503,
    { name: "inverses", ready: false },
  ]);
  const [status, { name, versions }] = await get("/v2/models/inverses/versions/1");
  deepEqual([status, name, versions], [200, "inverses", ["1"]]);
  for (const path of ["/v2/models/resnet", "/v2/models/inverses/versions/2/ready"]) {
    const [status, { error }] = await get(path);
    equal(status, 404);
    match(error, /one of factors, inverses/);
  }
  const [unknown, { error }] = await get("/v2/repository/index");
  deepEqual([unknown, /There is no \/v2\/repo/.test(error)], [404, true]);
});
