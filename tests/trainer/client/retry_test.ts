/** When a request is sent again, how long that waits, and what is given up. */
import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import fc from "fast-check";
import { CurvdClient, isServerAway, UnreachableError } from "@/trainer/mod.ts";
import { backoffMs, pause, retryAfterMs } from "../../../src/trainer/client/retry.ts";

const DEVICE = {
  engine: "cpu",
  reason: "a test",
  adapter: null,
  tuning: null,
  limits: {},
  features: [],
  blas: null,
  memory: { tensors: 0, bytes: 0 },
};
const QUICK = { attempts: 4, baseMs: 1, capMs: 4 };

/** Answers in turn; functions throw. The last goes on. */
function inTurn(...answers: (() => Response | Promise<Response>)[]) {
  const requests: Request[] = [];
  const fetch = ((input: RequestInfo | URL, init?: RequestInit) => {
    const { signal, ...rest } = init ?? {};
    requests.push(new Request(input, rest));
    signal?.throwIfAborted();
    const answer = answers[Math.min(requests.length, answers.length) - 1];
    return Promise.resolve().then(answer);
  }) as typeof globalThis.fetch;
  return { fetch, requests };
}

function problem(status: number, code: string, headers: Record<string, string> = {}) {
  return () =>
    new Response(
      JSON.stringify({ type: `/problems/${code}`, title: code, status, detail: `it is ${code}` }),
      { status, headers: { "content-type": "application/problem+json", ...headers } },
    );
}

const good = () => Response.json(DEVICE);
const unreachable = () => Promise.reject(new TypeError("connection refused"));

for (
  const [why, failing] of Object.entries({
    "no connection": unreachable,
    "a full queue": problem(429, "queue-full"),
    "a stopping server": problem(503, "draining"),
    "a lost device": problem(503, "device-lost"),
    "a proxy's bad gateway": () => new Response("<html>", { status: 502 }),
  })
) {
  Deno.test(`${why} is outlived`, async () => {
    const { fetch, requests } = inTurn(failing, failing, good);
    const client = new CurvdClient("http://curvd.test", { fetch, retry: QUICK });
    equal((await client.device()).engine, "cpu");
    equal(requests.length, 3);
  });
}

for (
  const [status, code] of [
    [422, "invalid-request"],
    [409, "conflict"],
    [500, "internal"],
    [507, "store-full"],
  ] as const
) {
  Deno.test(`${status} is final: asked once`, async () => {
    const { fetch, requests } = inTurn(problem(status, code), good);
    const client = new CurvdClient("http://curvd.test", { fetch, retry: QUICK });
    await rejects(client.device(), { code, message: `it is ${code}` });
    equal(requests.length, 1);
  });
}

Deno.test("what never answers is unreachable, with its cause and the number of attempts", async () => {
  const { fetch, requests } = inTurn(unreachable);
  const client = new CurvdClient("http://curvd.test", { fetch, retry: QUICK });
  const error = await client.device().catch((error) => error);
  ok(error instanceof UnreachableError);
  ok(isServerAway(error));
  equal(error.attempts, 4);
  equal(requests.length, 4);
  match(error.message, /tried 4 times: connection refused/);
});

Deno.test("a queue that stays full is the server's own error, and counts as away", async () => {
  const { fetch } = inTurn(problem(429, "queue-full"));
  const client = new CurvdClient("http://curvd.test", { fetch, retry: QUICK });
  const error = await client.device().catch((error) => error);
  equal(error.code, "queue-full");
  ok(isServerAway(error));
  ok(!isServerAway(new TypeError("a bug")));
});

Deno.test("Retry-After is waited for, and one that is too long ends the attempts", async () => {
  const soon = inTurn(problem(503, "draining", { "retry-after": "0.2" }), good);
  const begun = performance.now();
  await new CurvdClient("http://curvd.test", { fetch: soon.fetch, retry: QUICK }).device();
  ok(performance.now() - begun >= 195);

  const late = inTurn(problem(503, "draining", { "retry-after": "3600" }), good);
  const client = new CurvdClient("http://curvd.test", { fetch: late.fetch, retry: QUICK });
  await rejects(client.device(), { code: "draining" });
  equal(late.requests.length, 1);
});

Deno.test("retryAfterMs() reads seconds and dates, and nothing else", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  deepEqual(
    ["7", "Thu, 01 Jan 2026 00:00:03 GMT", "Thu, 01 Jan 2015 00:00:00 GMT", "soon", "-1", null]
      .map((header) => retryAfterMs(header, now)),
    [7000, 3000, 0, 0, 0, 0],
  );
});

Deno.test("the wait doubles up to its cap, half of it by chance", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (attempt, u) => {
        const longest = Math.min(5000, 100 * 2 ** (attempt - 1));
        const wait = backoffMs(attempt, { baseMs: 100, capMs: 5000 }, () => u);
        ok(wait >= longest / 2 && wait <= longest);
        equal(wait, longest * (0.5 + u / 2));
      },
    ),
    { seed: 1 },
  );
});

Deno.test("an attempt that takes too long is given up and made again", async () => {
  let asked = 0;
  const fetch = ((_: unknown, { signal }: RequestInit) => {
    if (asked++ > 0) return Promise.resolve(good());
    return new Promise((_, reject) =>
      signal!.addEventListener("abort", () => reject(signal!.reason))
    );
  }) as typeof globalThis.fetch;
  const client = new CurvdClient("http://curvd.test", { fetch, retry: QUICK, timeoutMs: 30 });
  equal((await client.device()).engine, "cpu");
  equal(asked, 2);
});

Deno.test("a connection that breaks within an answer is made again", async () => {
  const broken = () =>
    new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode('{"engine":'));
          controller.error(new TypeError("connection reset"));
        },
      }),
      { headers: { "content-type": "application/json" } },
    );
  const { fetch, requests } = inTurn(broken, good);
  await new CurvdClient("http://curvd.test", { fetch, retry: QUICK }).device();
  equal(requests.length, 2);
});

Deno.test("an aborted caller is not kept waiting for the next attempt", async () => {
  const { fetch, requests } = inTurn(unreachable);
  const slow = { attempts: 9, baseMs: 60_000, capMs: 60_000 };
  const client = new CurvdClient("http://curvd.test", { fetch, retry: slow });
  const leaving = new AbortController();
  setTimeout(() => leaving.abort(new Error("the trainer stops")), 20);
  await rejects(client.device({ signal: leaving.signal }), /the trainer stops/);
  equal(requests.length, 1);
  await rejects(pause(60_000, leaving.signal), /the trainer stops/);
});

Deno.test("a key is sent as Bearer, a timeout as Curvd-Timeout-Ms, an exchange is told with its bytes", async () => {
  const { fetch, requests } = inTurn(problem(503, "draining"), good);
  const told: unknown[] = [];
  const client = new CurvdClient("http://curvd.test", {
    fetch,
    key: "s3cret",
    timeoutMs: 1234,
    retry: QUICK,
    onExchange: ({ ms: _, ...rest }) => told.push(rest),
  });
  await client.device();
  equal(requests[1].headers.get("authorization"), "Bearer s3cret");
  equal(requests[1].headers.get("curvd-timeout-ms"), "1234");
  deepEqual(told, [{
    method: "GET",
    path: "/v1/device",
    status: 200,
    sentBytes: 0,
    receivedBytes: JSON.stringify(DEVICE).length,
    attempts: 2,
  }]);
});
