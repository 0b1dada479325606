/**
 * `X-Request-Id`: the caller's own, or a new one; in every answer, in problems, logs and traces.
 *
 * As `hono/request-id`, but that the answer's header is set on the connection's own response where there is one
 * (security_headers.ts says why).
 *
 * @module
 */
import { createMiddleware } from "hono/factory";
import type { AppEnv } from "./context.ts";

const HEADER = "x-request-id";
const ID = /^[\w\-=]{1,255}$/;

export const identify = createMiddleware<AppEnv>(async function identifyRequest(c, next) {
  const brought = c.req.header(HEADER);
  const id = brought !== undefined && ID.test(brought) ? brought : crypto.randomUUID();
  c.set("requestId", id);
  const outgoing = c.env?.outgoing;
  if (outgoing === undefined) c.header(HEADER, id);
  else outgoing.setHeader(HEADER, id);
  await next();
});
