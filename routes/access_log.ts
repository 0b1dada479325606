/**
 * One event of the log a request: what was asked for, what became of it, what it took.
 *
 * The path is told by its pattern, the body by its size, the key by its id: nothing that a client sent is repeated, but
 * the request's id and the session's.
 *
 * @module
 */
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { CurvdError } from "@/errors.ts";
import { log } from "@/log.ts";
import { type AppEnv, routeOf } from "./context.ts";

/** Asked often and telling little: logged at level debug. */
const QUIET = /^(\/v2)?\/health\/|^\/metrics$|^\/docs\/|^\/page\//;
const SESSION = /^\/v1\/sessions\/([A-Za-z0-9][A-Za-z0-9._-]{0,127})(?:\/|$)/;

/** Logs when the answer has left, or the client. */
export const accessLog = createMiddleware<AppEnv>(async function logAccess(c, next) {
  const begun = performance.now();
  const outgoing = c.env?.outgoing;
  // listened for now: a client that dies in mid-upload closes it before it is answered
  const closed = new Promise<void>((resolve) => outgoing?.once("close", resolve) ?? resolve());
  await next();
  const level = levelOf(c);
  if (!log.isEnabledFor(level)) return;
  const facts = factsOf(c);
  closed.then(() => {
    const hasLeft = outgoing !== undefined && !outgoing.writableFinished;
    const ms = round(performance.now() - begun);
    const message = `${c.req.method} ${facts.route ?? "(no route)"} ${facts.status}`;
    log[level](message, { ...facts, ms, ...(hasLeft ? { client_left: true } : {}) });
  });
});

function levelOf(c: Context<AppEnv>): "debug" | "info" | "warning" {
  if (c.res.status >= 500) return "warning";
  return QUIET.test(c.req.path) ? "debug" : "info";
}

function factsOf(c: Context<AppEnv>) {
  const { status, headers } = c.res;
  const key: AppEnv["Variables"]["key"] | undefined = c.get("key");
  return {
    request: c.get("requestId"),
    method: c.req.method,
    route: routeOf(c),
    session: SESSION.exec(c.req.path)?.[1],
    status,
    problem: problemIn(c.error),
    key: key?.id || undefined,
    address: c.env?.incoming?.socket.remoteAddress,
    bytes_in: sizeIn(c.req.header("content-length")),
    bytes_out: sizeIn(headers.get("content-length")),
    ...timesIn(headers.get("server-timing") ?? ""),
  };
}

function problemIn(error: Error | undefined): string | undefined {
  return error && (error instanceof CurvdError ? error.code : "internal");
}

function sizeIn(length: string | null | undefined): number | undefined {
  return length && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

/** `wait;dur=1.50, compute;dur=2` as `{ wait_ms: 1.5, compute_ms: 2 }`. */
function timesIn(serverTiming: string): Record<string, number> {
  const stages = serverTiming.matchAll(/(\w+);dur=([\d.]+)/g);
  return Object.fromEntries([...stages].map(([, stage, ms]) => [`${stage}_ms`, Number(ms)]));
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
