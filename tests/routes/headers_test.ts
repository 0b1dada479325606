/** What every answer tells the browser to forbid. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { appWith, INVERSES, JSON_HEADERS } from "./fake_compute.ts";

/** A policy's directives by name. */
function directivesOf(response: Response): Record<string, string[]> {
  const policy = response.headers.get("content-security-policy") ?? "";
  return Object.fromEntries(
    policy.split(";").map((directive) => {
      const [name, ...sources] = directive.trim().split(/\s+/);
      return [name, sources];
    }),
  );
}

Deno.test("answers, refusals and pages alike bind the browser", async () => {
  const app = appWith();
  const answers = [
    await app.request("/"),
    await app.request("/docs"),
    await app.request("/v1/device"),
    await app.request("/v1/inverses", { method: "POST", body: INVERSES, headers: JSON_HEADERS }),
    await app.request("/v1/inverses", { method: "POST", body: "{", headers: JSON_HEADERS }),
    await app.request("/nothing"),
    await app.request("/v1/inverses"),
  ];
  deepEqual(answers.map(({ status }) => status), [200, 200, 200, 200, 400, 404, 405]);
  for (const response of answers) {
    equal(response.headers.get("x-content-type-options"), "nosniff");
    equal(response.headers.get("x-frame-options"), "DENY");
    equal(response.headers.get("referrer-policy"), "no-referrer");
    equal(response.headers.get("cross-origin-resource-policy"), "same-origin");
    equal(response.headers.get("cross-origin-opener-policy"), "same-origin");
    const policy = directivesOf(response);
    deepEqual(policy["default-src"], ["'self'"]);
    deepEqual(policy["frame-ancestors"], ["'none'"]);
    deepEqual(policy["form-action"], ["'none'"]);
    deepEqual(policy["base-uri"], ["'none'"]);
    await response.body?.cancel();
  }
  app.codec.close();
});

Deno.test("no policy lets a script stand in a page, be made of text or come from elsewhere", async () => {
  const app = appWith();
  for (const path of ["/", "/docs", "/v1/device", "/page/x"]) {
    const response = await app.request(path);
    const policy = directivesOf(response);
    deepEqual(policy["script-src"] ?? policy["default-src"], ["'self'"]);
    deepEqual(policy["connect-src"] ?? policy["default-src"], ["'self'"]);
    const html = await response.text();
    ok(!/<script(?![^>]*\bsrc=)/.test(html), "no script stands in the page");
    ok(!/\son\w+=/.test(html), "nor in an attribute");
  }
  app.codec.close();
});
