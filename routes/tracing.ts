/**
 * One span a request, in the caller's trace: named by its route, with its id and its problem.
 *
 * `OTEL_DENO=true` makes Deno export it. Deno's own span of a request on `node:http` knows no route and is not active where it
 * is handled, so this one goes on from the incoming `traceparent` itself. Without `OTEL_DENO` all of this is the API's no-op.
 *
 * @module
 */
import { context, propagation, type Span, SpanStatusCode, trace } from "@opentelemetry/api";
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { CurvdError } from "@/errors.ts";
import { type AppEnv, routeOf } from "./context.ts";

const HEADERS = {
  keys: () => [],
  get: (c: Context, name: string) => c.req.header(name),
};

export const traceRequests = createMiddleware<AppEnv>(async function traceRequest(c, next) {
  const caller = propagation.extract(context.active(), c, HEADERS);
  await trace.getTracer("curvd").startActiveSpan(c.req.method, {}, caller, async (span) => {
    try {
      await next();
    } finally {
      if (span.isRecording()) describe(span, c);
      span.end();
    }
  });
});

function describe(span: Span, c: Context<AppEnv>): void {
  const route = routeOf(c);
  if (route !== null) {
    span.updateName(`${c.req.method} ${route}`);
    span.setAttribute("http.route", route);
  }
  span.setAttribute("http.response.status_code", c.res.status);
  span.setAttribute("curvd.request_id", c.get("requestId"));
  if (c.error === undefined) return;
  const problem = c.error instanceof CurvdError ? c.error.code : "internal";
  span.setAttribute("error.type", problem);
  if (c.res.status >= 500) span.setStatus({ code: SpanStatusCode.ERROR, message: problem });
}
