/** Web pages: which may read answers, and which may have something done. */
import { match, ok, strictEqual as equal } from "node:assert/strict";
import { hashOf, Keyring } from "../../src/keys/mod.ts";
import { appWith, INVERSES, JSON_HEADERS } from "./fake_compute.ts";

const LAB = "https://lab.example";
const OTHER = "https://other.example";
const KEYRING = new Keyring([{ id: "lab", scopes: ["compute"], hash: hashOf("secret") }]);

Deno.test("a page of a listed origin may ask, and read what it needs of the headers", async () => {
  const app = appWith(undefined, { origins: [LAB], keyring: KEYRING });
  const preflight = await app.request("/v1/inverses", {
    method: "OPTIONS",
    headers: {
      origin: LAB,
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization, content-type",
    },
  });
  equal(preflight.status, 204); // without a key: a browser's first question has none
  equal(preflight.headers.get("access-control-allow-origin"), LAB);
  match(preflight.headers.get("access-control-allow-headers")!, /Authorization.*Idempotency-Key/);
  match(preflight.headers.get("access-control-allow-methods")!, /PATCH/);

  const response = await app.request("/v1/inverses", {
    method: "POST",
    body: INVERSES,
    headers: { ...JSON_HEADERS, origin: LAB, authorization: "Bearer secret" },
  });
  equal(response.status, 200);
  equal(response.headers.get("access-control-allow-origin"), LAB);
  for (const name of ["ETag", "Server-Timing", "Retry-After", "X-Request-Id"]) {
    ok(response.headers.get("access-control-expose-headers")!.split(",").includes(name), name);
  }
  match(response.headers.get("vary")!, /Origin/);
  await response.body?.cancel();
  app.codec.close();
});

Deno.test("a page of another origin is shown nothing, and told so in a preflight", async () => {
  const app = appWith(undefined, { origins: [LAB] });
  for (const origin of [OTHER, "http://lab.example", "https://lab.example:444", "null"]) {
    const preflight = await app.request("/v1/inverses", {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST" },
    });
    equal(preflight.headers.get("access-control-allow-origin"), null, origin);
    const read = await app.request("/v1/device", { headers: { origin } });
    equal(read.headers.get("access-control-allow-origin"), null, origin);
    await read.body?.cancel();
  }
  app.codec.close();
});

Deno.test("a foreign page's simple POST, which no browser asks about first, is refused with 403", async () => {
  let computed = 0;
  const app = appWith(() => {
    computed++;
    return { layers: {} };
  }, { origins: [LAB] });
  for (const origin of [OTHER, "null", "http://127.0.0.1:9999", "http://127.0.0.1.evil.example"]) {
    for (const [method, path] of [["POST", "/v1/inverses"], ["POST", "/v1/sessions/a/refresh"]]) {
      const response = await app.request(path, {
        method,
        body: path.endsWith("inverses") ? INVERSES : undefined,
        headers: { origin, host: "127.0.0.1:5322", ...JSON_HEADERS },
      });
      equal(response.status, 403, `${origin} ${path}`);
      equal((await response.json()).type, "/problems/forbidden");
    }
  }
  equal(computed, 0);
  app.codec.close();
});

Deno.test("the server's own page, a listed one and a program may have something done", async () => {
  const app = appWith(undefined, { origins: [LAB] });
  const askers: Record<string, string>[] = [
    { origin: "http://127.0.0.1:5322", host: "127.0.0.1:5322" },
    { origin: "https://curvd.lab.example", host: "curvd.lab.example" }, // behind a proxy with TLS
    { origin: LAB, host: "127.0.0.1:5322" },
    { host: "127.0.0.1:5322" },
  ];
  for (const asker of askers) {
    const response = await app.request("/v1/inverses", {
      method: "POST",
      body: INVERSES,
      headers: { ...JSON_HEADERS, ...asker },
    });
    equal(response.status, 200, JSON.stringify(asker));
    await response.body?.cancel();
  }
  app.codec.close();
});
