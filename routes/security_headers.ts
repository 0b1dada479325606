/**
 * Headers that bind the browser: pages and answers are this server's own, nothing is loaded from elsewhere, nothing is
 * framed, no script stands in a page.
 *
 * @module
 */
import { createMiddleware } from "hono/factory";
import type { AppEnv } from "./context.ts";

const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'", // Swagger UI and plots style their elements in place
  "img-src 'self' data:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** Those of `hono/secure-headers`, but for what has no meaning over plain HTTP or in browsers of today. */
const HEADERS = Object.entries({
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "origin-agent-cluster": "?1",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-dns-prefetch-control": "off",
  "x-download-options": "noopen",
  "x-frame-options": "DENY",
  "x-permitted-cross-domain-policies": "none",
});

/** For every answer. On the connection's own response where there is one: on a `Response` they would cost more than a small request. */
export const securityHeaders = () =>
  createMiddleware<AppEnv>(async function secureAnswer(c, next) {
    const outgoing = c.env?.outgoing;
    if (outgoing !== undefined) {
      for (const [name, value] of HEADERS) outgoing.setHeader(name, value);
      return await next();
    }
    await next();
    for (const [name, value] of HEADERS) c.res.headers.set(name, value);
  });
