/** Keys at the routes: who is asked for one, what a scope opens, and whose sessions are whose. */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { Validator } from "@seriousme/openapi-schema-validator";
import type { SessionCall } from "../../src/compute/mod.ts";
import { CurvdError } from "../../src/errors.ts";
import { hashOf, Keyring, type Scope } from "../../src/keys/mod.ts";
import type { Document } from "../../src/wire/mod.ts";
import { appWith, INVERSES, JSON_HEADERS } from "./fake_compute.ts";

const keyOf = (id: string, ...scopes: Scope[]) => ({ id, scopes, hash: hashOf(`secret-${id}`) });
const KEYS = [
  keyOf("reader", "read"),
  keyOf("worker", "read", "compute"),
  keyOf("other", "read", "compute"),
  keyOf("operator", "admin"),
];
const bearer = (id: string) => ({ authorization: `Bearer secret-${id}` });
const guarded = (more: Parameters<typeof appWith>[1] = {}) =>
  appWith(undefined, { keyring: new Keyring(KEYS), ...more });

type App = ReturnType<typeof guarded>;
const invert = (app: App, headers: Record<string, string>) =>
  app.request("/v1/inverses", {
    method: "POST",
    body: INVERSES,
    headers: { ...JSON_HEADERS, ...headers },
  });

Deno.test("without a key, or with one that is not known, a call is refused with 401", async () => {
  const app = guarded();
  const headers: Record<string, string>[] = [
    {},
    { authorization: "Bearer" },
    { authorization: "Bearer wrong" },
    { authorization: "Bearer secret-worker2" },
    { authorization: "Basic c2VjcmV0LXdvcmtlcg==" },
    { authorization: "secret-worker" },
  ];
  for (const each of headers) {
    const response = await invert(app, each);
    equal(response.status, 401, JSON.stringify(each));
    equal(response.headers.get("www-authenticate"), 'Bearer realm="curvd"');
    const problem = await response.json();
    equal(problem.type, "/problems/unauthorized");
    ok(!JSON.stringify(problem).includes("wrong"));
  }
  app.codec.close();
});

Deno.test("without a key not a byte of the body is read", async () => {
  const app = guarded();
  let pulled = 0;
  const body = new ReadableStream({
    pull(stream) {
      pulled++;
      stream.enqueue(new Uint8Array(1024));
    },
  }, { highWaterMark: 0 });
  const response = await app.request("/v1/inverses", {
    method: "POST",
    body,
    headers: JSON_HEADERS,
  });
  deepEqual([response.status, pulled], [401, 0]);
  await response.body?.cancel();
  app.codec.close();
});

Deno.test("a known key is let in, however its scheme is spelled", async () => {
  const app = guarded();
  for (const scheme of ["Bearer", "bearer", "BEARER "]) {
    const response = await invert(app, { authorization: `${scheme} secret-worker` });
    equal(response.status, 200, await response.text());
  }
  app.codec.close();
});

Deno.test("a scope opens its own calls and no others, and the refusal names what is missing", async () => {
  const app = guarded();
  const asked: [method: string, path: string, scope: Scope][] = [
    ["GET", "/v1/device", "read"],
    ["HEAD", "/v1/methods", "read"],
    ["GET", "/v1/sessions", "read"],
    ["POST", "/v1/inverses", "compute"],
    ["POST", "/v1/sessions", "compute"],
    ["DELETE", "/v1/sessions/x", "compute"],
    ["PUT", "/v1/sessions/x/checkpoint", "compute"],
    ["GET", "/v2", "read"],
    ["POST", "/v2/models/inverses/infer", "compute"],
    ["GET", "/metrics", "admin"],
    ["GET", "/metrics/", "admin"],
    ["GET", "/what/there/is/not", "read"],
  ];
  for (const [method, path, scope] of asked) {
    for (const { id, scopes } of KEYS) {
      const response = await app.request(path, { method, headers: bearer(id) });
      const isForbidden = !scopes.includes(scope);
      equal(response.status === 403, isForbidden, `${id} ${method} ${path}: ${response.status}`);
      if (isForbidden && method !== "HEAD") {
        const problem = await response.json();
        deepEqual([problem.type, problem.limit], ["/problems/forbidden", scope]);
      } else await response.body?.cancel();
    }
    const response = await app.request(path, { method });
    equal(response.status, 401, `${method} ${path}`);
    await response.body?.cancel();
  }
  app.codec.close();
});

Deno.test("health, reference, pages and problems need no key, and every other route does", async () => {
  const app = guarded();
  const open = new Set<string>();
  for (const { method, path } of app.routes) {
    if (method === "ALL") continue;
    const asked = path.replaceAll(/:\w+/g, "x").replaceAll("*", "x");
    const response = await app.request(asked, { method });
    if (response.status !== 401) open.add(path);
    await response.body?.cancel();
  }
  for (const path of open) {
    match(path, /^\/($|health\/|v2\/health\/|docs|openapi\.json$|problems\/|page\/)/);
  }
  for (const path of ["/", "/health/live", "/health/ready", "/docs", "/openapi.json"]) {
    ok(open.has(path), path);
  }
  app.codec.close();
});

Deno.test("the reference asks for a key where the server does, and for the scope that opens", async () => {
  const app = guarded();
  const document = await (await app.request("/openapi.json")).json();
  const { valid, errors } = await new Validator().validate(document);
  ok(valid, JSON.stringify(errors));
  equal(document.components.securitySchemes.key.scheme, "bearer");
  const scopes = new Set<string>();
  for (const [path, operations] of Object.entries<Record<string, Operation>>(document.paths)) {
    for (const [method, { security, responses }] of Object.entries(operations)) {
      const asked = path.replaceAll(/\{\w+\}/g, "x");
      const response = await app.request(asked, { method: method.toUpperCase() });
      equal(response.status === 401, security !== undefined, `${method} ${path}`);
      await response.body?.cancel();
      if (security === undefined) continue;
      ok(responses[401] && responses[403], `${method} ${path}`);
      const [{ key: [scope] }] = security;
      scopes.add(scope);
      for (const { id, scopes } of KEYS) {
        const answer = await app.request(asked, {
          method: method.toUpperCase(),
          headers: bearer(id),
        });
        equal(answer.status === 403, !scopes.includes(scope as Scope), `${id} ${method} ${path}`);
        await answer.body?.cancel();
      }
    }
  }
  ok(scopes.has("read") && scopes.has("compute"));
  app.codec.close();
  const open = await (await appWith().request("/openapi.json")).json();
  equal(open.components.securitySchemes, undefined);
});

interface Operation {
  security?: [{ key: [string] }];
  responses: Record<number, unknown>;
}

Deno.test("a key is never part of an address", async () => {
  const app = guarded();
  for (const query of ["key=secret-worker", "access_token=secret-worker", "token=secret-worker"]) {
    const response = await app.request(`/v1/device?${query}`);
    equal(response.status, 401);
    await response.body?.cancel();
  }
  app.codec.close();
});

/** Sessions as a list of ids, and every call that reached them. */
function fakeSessions(ids: string[]) {
  const calls: SessionCall[] = [];
  const listeners: ((session: string, event: { event: "step" }) => void)[] = [];
  return {
    calls,
    emit: (session: string) => listeners.forEach((each) => each(session, { event: "step" })),
    compute: {
      session: (call: SessionCall): Promise<Document> => {
        calls.push(call);
        const id = call.session ?? (call.request.id as string | undefined);
        if (call.call === "list") return Promise.resolve({ sessions: ids.map((id) => ({ id })) });
        if (call.call === "create") return Promise.resolve({ id: id!, version: 0, revision: 0 });
        if (ids.includes(id!)) return Promise.resolve({ id: id!, revision: 1 });
        const fault = new CurvdError("not-found", `There is no session "${id}"`, { value: id });
        return Promise.reject(fault);
      },
      watch: (listener: (session: string, event: { event: "step" }) => void) => {
        listeners.push(listener);
        return () => {};
      },
    },
  };
}

const SESSION = JSON.stringify({
  id: "mlp",
  method: "kfac",
  damping: 0.1,
  layers: { fc1: { kind: "dense", d_in: 3, d_out: 2 } },
});

Deno.test("the ids of a key's sessions begin with its own below the routes, and nowhere above", async () => {
  const { calls, compute } = fakeSessions(["worker/mlp", "other/mlp", "other/cnn", "mlp"]);
  const app = guarded(compute);
  const ask = async (method: string, path: string, body?: string) => {
    const headers = { ...bearer("worker"), ...(body ? JSON_HEADERS : {}) };
    const response = await app.request(`/v1/sessions${path}`, { method, body, headers });
    return { location: response.headers.get("location"), ...await response.json() };
  };
  deepEqual((await ask("GET", "")).sessions, [{ id: "mlp" }]);
  const made = await ask("POST", "", SESSION);
  deepEqual([made.id, made.location], ["mlp", "/v1/sessions/mlp"]);
  equal((await ask("GET", "/mlp")).id, "mlp");
  const absent = await ask("GET", "/cnn");
  deepEqual([absent.status, absent.value, absent.detail], [
    404,
    "cnn",
    'There is no session "cnn"',
  ]);
  deepEqual(calls.map(({ session, request }) => session ?? request.id ?? ""), [
    "",
    "worker/mlp",
    "worker/mlp",
    "worker/cnn",
  ]);

  const { id: _, ...unnamed } = JSON.parse(SESSION);
  const named = await ask("POST", "", JSON.stringify(unnamed));
  match(named.id, /^[0-9a-f-]{36}$/);
  equal(calls.at(-1)!.request.id, `worker/${named.id}`);
  app.codec.close();
});

Deno.test("a server without keys keeps ids as they are, and shows none that belongs to a key", async () => {
  const { calls, compute } = fakeSessions(["worker/mlp", "mlp"]);
  const app = appWith(undefined, compute);
  const list = await (await app.request("/v1/sessions")).json();
  deepEqual(list.sessions, [{ id: "mlp" }]);
  equal((await (await app.request("/v1/sessions/mlp")).json()).id, "mlp");
  equal(calls.at(-1)!.session, "mlp");
  for (const path of ["/v1/sessions/worker/mlp", "/v1/sessions/worker%2Fmlp"]) {
    const response = await app.request(path);
    equal(response.status, 404, path);
    await response.body?.cancel();
  }
  app.codec.close();
});

Deno.test("one key's Idempotency-Key is nothing to another", async () => {
  const { calls, compute } = fakeSessions([]);
  const app = guarded(compute);
  for (const id of ["worker", "other"]) {
    const response = await app.request("/v1/sessions", {
      method: "POST",
      body: SESSION,
      headers: { ...JSON_HEADERS, ...bearer(id), "idempotency-key": "once" },
    });
    await response.body?.cancel();
  }
  deepEqual(calls.map(({ key }) => key!.key), ["worker/once", "other/once"]);
  ok(calls[0].key!.hash !== calls[1].key!.hash);
  app.codec.close();
});

Deno.test("an event stream tells of the key's own session of that name, and ends with the key", async () => {
  const { emit, compute } = fakeSessions(["worker/mlp", "other/mlp"]);
  const keyring = new Keyring(KEYS);
  const app = guarded({ ...compute, keyring });
  const response = await app.request("/v1/sessions/mlp/events", { headers: bearer("worker") });
  equal(response.status, 200);
  emit("other/mlp");
  emit("mlp");
  emit("worker/mlp");
  keyring.replace(KEYS.filter(({ id }) => id !== "worker"));
  const text = await response.text(); // ends, as the key is good no more
  equal(text.match(/event: step/g)?.length, 1);
  app.codec.close();
});
