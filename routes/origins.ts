/**
 * Which web pages may call: the server's own, and those of listed origins (CORS).
 *
 * Reading is the browser's to refuse: a foreign page gets no `Access-Control-Allow-Origin`. What changes something is
 * refused here too, as a browser sends a simple POST without asking first.
 *
 * @module
 */
import { cors } from "hono/cors";
import { createMiddleware } from "hono/factory";
import { CurvdError } from "@/errors.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
const READING = ["GET", "HEAD", "OPTIONS"];
const TAKEN = [
  "Authorization",
  "Content-Type",
  "Accept",
  "Idempotency-Key",
  "If-Match",
  "If-None-Match",
  "Curvd-Timeout-Ms",
  "X-Request-Id",
];
/** What a page may read of an answer beside the few headers that browsers show by themselves. */
const SHOWN = ["ETag", "Location", "Retry-After", "Server-Timing", "X-Request-Id"];
/** For so long a browser need not ask again. */
const PREFLIGHT_SECONDS = 600;

/** Lets the pages of some origins in. */
export function allowOrigins(origins: readonly string[]) {
  const allow = cors({
    origin: [...origins],
    allowMethods: METHODS,
    allowHeaders: TAKEN,
    exposeHeaders: SHOWN,
    maxAge: PREFLIGHT_SECONDS,
  });
  return createMiddleware(async function answerOrigin(c, next) {
    const isPreflight = c.req.header("access-control-request-method") !== undefined;
    if (c.req.method === "OPTIONS" && !isPreflight) return await next();
    return await allow(c, next);
  });
}

/** Refuses the others what is more than reading. */
export function refuseForeignPages(origins: readonly string[]) {
  return createMiddleware(async function checkOrigin(c, next) {
    const origin = c.req.header("origin");
    if (origin !== undefined && !READING.includes(c.req.method)) {
      const isOwn = URL.canParse(origin) && new URL(origin).host === c.req.header("host");
      if (!isOwn && !origins.includes(origin)) {
        throw new CurvdError("forbidden", `Pages of ${origin} may not call this server`, {
          value: origin,
          suggestion: "list the origin in CURVD_ORIGINS",
        });
      }
    }
    await next();
  });
}
