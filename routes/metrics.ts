/** `GET /metrics`, and the counting of requests. @module */
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import type { Admission } from "@/admission/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { Metrics } from "@/observe/mod.ts";
import { type AppEnv, hasLeft, routeOf, whenAnswered } from "./context.ts";

/** Methods by name; any other that somebody makes up is one label. */
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
/** The status that a client never sees, because it left. */
const CLIENT_LEFT = 499;

export function metricsHandler(metrics: Metrics, admission: Admission) {
  return async function answerMetrics(c: Context): Promise<Response> {
    const text = await metrics.text(admission.facts());
    return c.body(text, 200, { "content-type": metrics.contentType, "cache-control": "no-store" });
  };
}

/** Counts every request once: when its answer has left, or its client. */
export function countRequests(metrics: Metrics) {
  return createMiddleware<AppEnv>(async function countRequest(c, next) {
    const begun = performance.now();
    await next();
    whenAnswered(c, () => {
      const isCut = hasLeft(c);
      metrics.request({
        method: METHODS.has(c.req.method) ? c.req.method : "other",
        route: routeOf(c) ?? "none",
        status: isCut ? CLIENT_LEFT : c.res.status,
        reason: isCut ? "aborted" : reasonOf(c.error),
        seconds: (performance.now() - begun) / 1000,
      });
    });
  });
}

function reasonOf(error: Error | undefined): string {
  if (error === undefined) return "";
  return error instanceof CurvdError ? error.code : "internal";
}
