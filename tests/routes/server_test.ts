/** What the server tells of itself: health, device, methods, reference, ids. */
import {
  deepStrictEqual as deepEqual,
  match,
  notStrictEqual as notEqual,
  ok,
  strictEqual as equal,
} from "node:assert/strict";
import "../../src/page/bundle.ts"; // makes the scripts that the page at / loads
import { Validator } from "@seriousme/openapi-schema-validator";
import { decodeSafetensors, DeviceAnswer, MethodsAnswer, validate } from "../../src/wire/mod.ts";
import { createApp } from "../../routes/mod.ts";
import { STATELESS_CALLS } from "../../routes/calls.ts";
import { appWith, DEVICE, fakeCompute, inverseAnswer, JSON_HEADERS } from "./fake_compute.ts";

const get = (path: string, headers: Record<string, string> = {}) =>
  appWith().request(path, { headers });

Deno.test("health/live answers while nothing else works, health/ready then does not", async () => {
  const app = appWith(undefined, { isReady: () => false });
  const live = await app.request("/health/live");
  deepEqual([live.status, await live.json()], [200, { status: "live" }]);
  const ready = await app.request("/health/ready");
  deepEqual([ready.status, ready.headers.get("retry-after")], [503, "5"]);
  equal((await ready.json()).type, "/problems/device-lost");
});

Deno.test("health/ready says ready, and draining once the server is stopping", async () => {
  const { codec } = appWith();
  const compute = fakeCompute(() => inverseAnswer());
  let isDraining = false;
  const app = createApp({ compute, codec, maxBodyBytes: 1, isDraining: () => isDraining });
  deepEqual(await (await app.request("/health/ready")).json(), {
    status: "ready",
    parts: { server: "ready", device: "ready" },
  });
  isDraining = true;
  const draining = await app.request("/health/ready");
  deepEqual([draining.status, (await draining.json()).type], [503, "/problems/draining"]);
});

Deno.test("device and methods are answered in JSON, and in safetensors on request", async () => {
  deepEqual(validate(DeviceAnswer, await (await get("/v1/device")).json()), DEVICE);
  const { methods } = validate(MethodsAnswer, await (await get("/v1/methods")).json());
  deepEqual(methods, [{ method: "kfac", paper: "arXiv:1503.05671" }]);

  const file = await get("/v1/device", { accept: "application/vnd.safetensors" });
  const { metadata } = decodeSafetensors(await file.bytes());
  deepEqual(JSON.parse(metadata.get("document")!), DEVICE);
});

Deno.test("a request keeps the id it brings and gets one where it brings none", async () => {
  const brought = await get("/health/live", { "x-request-id": "train-42" });
  equal(brought.headers.get("x-request-id"), "train-42");
  await brought.body?.cancel();
  const [a, b] = await Promise.all([get("/health/live"), get("/health/live")]);
  match(a.headers.get("x-request-id")!, /^[\w-]{8,}$/);
  notEqual(a.headers.get("x-request-id"), b.headers.get("x-request-id"));
  const strange = await get("/health/live", { "x-request-id": "a b\tc" });
  notEqual(strange.headers.get("x-request-id"), "a b\tc");
  for (const response of [a, b, strange]) await response.body?.cancel();
});

Deno.test("every response forbids sniffing and framing", async () => {
  for (const path of ["/", "/health/live", "/nothing"]) {
    const response = await get(path);
    equal(response.headers.get("x-content-type-options"), "nosniff");
    match(response.headers.get("content-security-policy")!, /frame-ancestors 'none'/);
    await response.body?.cancel();
  }
});

Deno.test("openapi.json is valid OpenAPI 3.1", async () => {
  const document = await (await get("/openapi.json")).json();
  match(document.openapi, /^3\.1\./);
  const { valid, errors } = await new Validator().validate(document);
  ok(valid, JSON.stringify(errors));
});

Deno.test("openapi.json refers to nothing that it does not define", async () => {
  const text = await (await get("/openapi.json")).text();
  const document = JSON.parse(text);
  const references = [...text.matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path);
  ok(references.length > 50);
  for (const path of references) {
    const target = path.split("/").reduce((node, step) => node?.[step], document);
    notEqual(target, undefined, path);
  }
});

Deno.test("openapi.json describes each call on offer, in both encodings, and no other", async () => {
  const { codec } = appWith();
  const offer = { calls: ["factors", "updates"] as const, methods: [] };
  const compute = fakeCompute(() => inverseAnswer(), { offer });
  const app = createApp({ compute, codec, maxBodyBytes: 2 ** 20 });
  const { paths } = await (await app.request("/openapi.json")).json();
  deepEqual(Object.keys(paths).filter((path) => /^\/v1\/(?!sessions)/.test(path)), [
    "/v1/factors",
    "/v1/updates",
    "/v1/methods",
    "/v1/device",
  ]);
  const both = ["application/json", "application/vnd.safetensors"];
  const { post } = paths["/v1/updates"];
  deepEqual(Object.keys(post.requestBody.content), both);
  deepEqual(Object.keys(post.responses[200].content), both);
  equal((await app.request("/v1/inverses", { method: "POST" })).status, 404);
});

Deno.test("openapi.json names every parameter of updates", async () => {
  const { components } = await (await get("/openapi.json")).json();
  const parameters = Object.keys(components.schemas.UpdatesRequest.properties);
  for (
    const name of "damping damping_rule pi power kl_clip learning_rate damped_terms indefinite \
floor mbf_blocks coarse_space rhs step_size l2 method output on_error verify".split(/\s+/)
  ) {
    ok(parameters.includes(name), name);
  }
});

for (const { call, example } of STATELESS_CALLS) {
  Deno.test(`the reference's example of ${call} is a request that passes`, async () => {
    const app = appWith(() => ({ layers: {}, timing: {}, warnings: [] }));
    const response = await app.request(`/v1/${call}`, {
      method: "POST",
      headers: JSON_HEADERS,
      body: JSON.stringify(example),
    });
    equal(response.status, 200, await response.text());
  });
}

Deno.test("docs and the home page load nothing from elsewhere", async () => {
  for (const path of ["/", "/docs", "/docs/"]) {
    const response = await get(path);
    equal(response.status, 200);
    match(response.headers.get("content-security-policy")!, /default-src 'self'/);
    const html = await response.text();
    ok(!/(src|href)="(https?:)?\/\//.test(html), html);
    for (const [, link] of html.matchAll(/(?:src|href)="(\/[^"]*)"/g)) {
      const linked = await get(link);
      equal(linked.status, 200, link);
      await linked.body?.cancel();
    }
  }
  match(await (await get("/docs/start.js")).text(), /validatorUrl: null/);
});

Deno.test("docs are files of this server, with their media types", async () => {
  for (
    const [path, type, least] of [
      ["/docs/swagger-ui-bundle.js", "text/javascript", 1e6],
      ["/docs/swagger-ui.css", "text/css", 1e5],
    ] as const
  ) {
    const response = await get(path);
    ok(response.headers.get("content-type")!.startsWith(type));
    ok((await response.text()).length > least);
  }
});
