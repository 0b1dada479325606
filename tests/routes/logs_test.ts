/** What the log says of a request, and what it must never say. */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import type { LogRecord } from "@logtape/logtape";
import { CurvdError } from "../../src/errors.ts";
import { hashOf, Keyring } from "../../src/keys/mod.ts";
import { configureLog, inBursts, log, textLine } from "../../src/log.ts";
import { appWith, inverseAnswer, INVERSES, JSON_HEADERS } from "./fake_compute.ts";

/** What is logged while something runs, from a level on. */
async function logged(
  run: () => Promise<unknown>,
  level: "debug" | "info" = "info",
): Promise<LogRecord[]> {
  const events: LogRecord[] = [];
  configureLog({ format: "json", level }, (event) => events.push(event));
  await run();
  return events;
}

const post = async (headers: Record<string, string> = {}, answer = () => inverseAnswer()) => {
  const keyring = new Keyring([{ id: "lab", scopes: ["compute"], hash: hashOf("SECRET") }]);
  const app = appWith(answer, { keyring });
  const response = await app.request("/v1/inverses?token=QUERY", {
    method: "POST",
    body: INVERSES,
    headers: { ...JSON_HEADERS, authorization: "Bearer SECRET", ...headers },
  });
  await response.body?.cancel();
  app.codec.close();
};

Deno.test("a request is one event: its id, route, status, key, sizes and times", async () => {
  const [event, ...others] = await logged(() => post({ "x-request-id": "train-42" }));
  equal(others.length, 0);
  equal(event.level, "info");
  equal(event.message.join(""), "POST /v1/inverses 200");
  const { ms, bytes_out, ...facts } = event.properties;
  deepEqual(Object.fromEntries(Object.entries(facts).filter(([, fact]) => fact !== undefined)), {
    request: "train-42",
    method: "POST",
    route: "/v1/inverses",
    status: 200,
    key: "lab",
    receive_ms: facts.receive_ms,
    wait_ms: facts.wait_ms,
    compute_ms: 2,
    read_ms: 0.5,
    total_ms: facts.total_ms,
  });
  ok((facts.wait_ms as number) >= 0.1 && (facts.total_ms as number) >= 2.6);
  ok(typeof ms === "number" && ms >= 0);
  ok(typeof bytes_out === "number" && bytes_out > 0);
});

Deno.test("a refusal tells its kind, and a bug is told twice: by its request and by itself", async () => {
  const [refused] = await logged(() => post({ authorization: "Bearer WRONG" }));
  deepEqual([refused.properties.status, refused.properties.problem], [401, "unauthorized"]);
  const [bug, request] = await logged(() =>
    post({}, () => {
      throw new TypeError("a bug");
    })
  );
  equal(bug.level, "error");
  ok(bug.properties.error instanceof Error);
  equal(bug.properties.request, request.properties.request);
  deepEqual([request.level, request.properties.problem], ["warning", "internal"]);
});

Deno.test("neither key, query, header, body nor the path of no route is in the log", async () => {
  const app = appWith(() => {
    throw new CurvdError("not-positive-definite", "VALUE", { layer: "LAYER", value: "VALUE" });
  });
  const events = await logged(async () => {
    for (
      const [path, init] of [
        ["/v1/inverses?token=QUERY", { method: "POST", body: INVERSES, headers: JSON_HEADERS }],
        ["/v1/inverses", { method: "POST", body: '{"BODY": "BODY"}', headers: JSON_HEADERS }],
        ["/v1/inverses", { method: "POST", body: "BODY", headers: { "content-type": "HEADER/x" } }],
        ["/PATH/of/none?QUERY", { headers: { authorization: "Bearer SECRET" } }],
        ["/problems/PATH", {}],
        ["/v1/sessions/ok-id/PATH", {}],
        ["/v1/sessions/B%20AD/steps", { method: "POST", body: "BODY", headers: JSON_HEADERS }],
        ["/health/live?QUERY", { headers: { "x-request-id": "BAD ID" } }],
      ] as const
    ) {
      await (await app.request(path, init)).body?.cancel();
    }
  }, "debug");
  equal(events.length, 8);
  for (const event of events) {
    const text = JSON.stringify(event) + textLine(event);
    for (
      const word of [
        "VALUE",
        "LAYER",
        "QUERY",
        "SECRET",
        "BODY",
        "HEADER",
        "PATH",
        "BAD ID",
        "B%20AD",
      ]
    ) ok(!text.includes(word), `${word} in ${text}`);
  }
  equal(events[5].properties.session, "ok-id");
  app.codec.close();
});

Deno.test("health and pages are told at level debug only", async () => {
  const app = appWith();
  const ask = async () => {
    for (const path of ["/health/live", "/docs/start.js", "/v1/device"]) {
      await (await app.request(path)).body?.cancel();
    }
  };
  deepEqual((await logged(ask)).map(({ properties }) => properties.route), ["/v1/device"]);
  equal((await logged(ask, "debug")).length, 3);
  app.codec.close();
});

Deno.test("a line of text has time, level unless info, message and facts; an error its stack", async () => {
  const [info, error] = await logged(() => {
    log.info("it listens", { url: "http://x", note: "two words", absent: undefined, n: 3 });
    log.error("it broke", { error: new Error("why") });
    return Promise.resolve();
  });
  match(textLine(info), /^\d\d:\d\d:\d\d\.\d{3} it listens url=http:\/\/x note="two words" n=3$/);
  match(textLine(error), /^\S+ error it broke error=Error: why\n +at /);
});

Deno.test("lines go out in bursts; a warning at once, behind them, and the rest when the thread ends", async () => {
  const { info, warn } = console;
  const written: string[] = [];
  console.info = (text: string) => written.push(`out: ${text}`);
  console.warn = (text: string) => written.push(`err: ${text}`);
  try {
    const settings = { format: "json", level: "info" } as const;
    configureLog(settings, inBursts(settings));
    const messages = () => written.splice(0).map((text) => text.match(/\w+(?=","logger)/g));
    log.info("one");
    log.info("two");
    equal(written.length, 0);
    log.warning("trouble");
    match(written[0], /^out: /);
    match(written[1], /^err: /);
    deepEqual(messages(), [["one", "two"], ["trouble"]]);

    log.info("three");
    log.info("four");
    while (written.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    deepEqual(messages(), [["three", "four"]]);

    log.info("five");
    globalThis.dispatchEvent(new Event("unload"));
    deepEqual(messages(), [["five"]]);
  } finally {
    Object.assign(console, { info, warn });
    configureLog({ format: "json", level: "error" });
  }
});

Deno.test("what waits to be written is when a bug ends the process", async () => {
  const { stdout, code } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `--config=${new URL("../../deno.json", import.meta.url).pathname}`,
      `import { configureLog, inBursts, log } from "@/log.ts";
       const settings = { format: "json", level: "info" };
       configureLog(settings, inBursts(settings));
       log.info("the last line");
       setTimeout(() => { throw new Error("a bug"); }, 1);`,
    ],
  }).output();
  equal(code, 1);
  match(new TextDecoder().decode(stdout), /"the last line"/);
});
