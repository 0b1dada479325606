/** Traces by Deno's own OpenTelemetry, as a collector receives them. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { INVERSES, JSON_HEADERS } from "./fake_compute.ts";

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly parentSpanId: string;
  readonly attributes: { key: string; value: { stringValue?: string; intValue?: string } }[];
}

const TRACE = "0af7651916cd43dd8448eb211c80319c", PARENT = "b7ad6b7169203331";

Deno.test("a trace goes on in the server, its span named by the route", async () => {
  const spans: Span[] = [];
  const collector = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (r) => {
      const body = await r.json();
      for (const { scopeSpans } of body.resourceSpans ?? []) {
        const own = scopeSpans.filter(({ scope }: { scope: { name: string } }) =>
          scope.name === "curvd"
        );
        for (const scope of own) spans.push(...scope.spans);
      }
      return Response.json({});
    },
  );
  const server = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--allow-all",
      new URL("./traced_server.ts", import.meta.url).pathname,
    ],
    env: {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.addr.port}`,
      OTEL_BSP_SCHEDULE_DELAY: "100",
    },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const output = server.stdout.getReader();
  try {
    const url = new TextDecoder().decode((await output.read()).value).trim();
    const traceparent = `00-${TRACE}-${PARENT}-01`;
    const headers = { ...JSON_HEADERS, traceparent, "x-request-id": "step-7" };
    const send = async (path: string, body: string) =>
      await (await fetch(`${url}${path}`, { method: "POST", headers, body })).body?.cancel();
    await send("/v1/inverses", INVERSES);
    await send("/v1/inverses", "{");
    await send("/v1/sessions/mine/steps", "{}");
    for (let i = 0; i < 200 && spans.length < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    deepEqual(spans.map(({ name }) => name).toSorted(), [
      "POST /v1/inverses",
      "POST /v1/inverses",
      "POST /v1/sessions/:id/steps",
    ]);
    const problems = spans.map(({ traceId, parentSpanId, attributes }) => {
      deepEqual([traceId, parentSpanId], [TRACE, PARENT]);
      const of = (name: string) => attributes.find(({ key }) => key === name)?.value.stringValue;
      ok(["/v1/inverses", "/v1/sessions/:id/steps"].includes(of("http.route")!));
      equal(of("curvd.request_id"), "step-7");
      return of("error.type");
    });
    deepEqual(problems.toSorted(), ["invalid-request", "malformed-body", undefined]);
  } finally {
    server.kill("SIGKILL");
    await server.status;
    await output.cancel();
    await collector.shutdown();
  }
});
