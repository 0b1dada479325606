/**
 * Errors as RFC 9457 problem documents: the only place that knows which status an error code becomes.
 *
 * @module
 */
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { CurvdError, type ErrorCode, packError } from "@/errors.ts";
import { log } from "@/log.ts";
import type { Problem } from "@/wire/mod.ts";
import { dropBody } from "./body.ts";
import { hasLeft } from "./context.ts";

/** Status and title of each code. */
export const PROBLEMS: Readonly<Record<ErrorCode, readonly [status: number, title: string]>> = {
  "malformed-body": [400, "The body cannot be decoded"],
  "unauthorized": [401, "A valid key is needed"],
  "forbidden": [403, "This may not be done from here"],
  "not-found": [404, "There is no such resource"],
  "method-not-allowed": [405, "The resource has no such method"],
  "not-acceptable": [406, "The answer cannot be given in the form asked for"],
  "body-stalled": [408, "The body did not come"],
  "conflict": [409, "The request conflicts with the resource's state"],
  "precondition-failed": [412, "The resource has moved on"],
  "body-too-large": [413, "The body is too large"],
  "too-large-to-fit": [413, "The work does not fit into memory"],
  "unsupported-media-type": [415, "The body's media type is not taken"],
  "misdirected": [421, "The host named is not this server"],
  "invalid-request": [422, "The request breaks the schema"],
  "invalid-tensor": [422, "A tensor has the wrong shape, type or symmetry"],
  "not-finite": [422, "A tensor holds NaN or infinity"],
  "not-positive-definite": [422, "A matrix is not positive definite at this damping"],
  "not-converged": [422, "A result misses its error bound"],
  "overflow": [422, "A value does not fit the type asked for"],
  "unsupported": [422, "The combination is not offered"],
  "queue-full": [429, "The queue is full"],
  "aborted": [499, "The client left"],
  "internal": [500, "The server has a bug"],
  "device-lost": [503, "The device was lost"],
  "draining": [503, "The server is stopping"],
  "not-ready": [503, "A part of the server is not ready"],
  "deadline-exceeded": [504, "The answer would come too late"],
  "store-full": [507, "The store is full"],
  "store-damaged": [500, "The store is damaged"],
};

/** Seconds after which a 503 may have passed, where the error does not say. */
const RETRY_AFTER_SECONDS = 5;

/** The problem document of an error; `instance` is the request's id. */
export function problemOf(error: unknown, instance?: string): Problem {
  const { code, message, facts } = packError(error);
  const [status, title] = PROBLEMS[code];
  // an unforeseen error may quote anything: the log gets it, the client does not
  const detail = code === "internal" ? "This request met a bug, which was logged" : message;
  return {
    ...(code === "internal" ? {} : printable(facts)),
    type: typeOf(code),
    title,
    status,
    detail,
    ...(instance === undefined ? {} : { instance }),
  };
}

/** Reference that identifies a kind of problem; {@link problemKinds} answers there. */
export function typeOf(code: ErrorCode): string {
  return `/problems/${code}`;
}

/** Statuses of requests whose body is still under way, and is not waited for. */
const WITHOUT_REST: readonly number[] = [408, 413, 504];

/** `app.onError` of the whole server. */
export function onError(error: unknown, c: Context): Response {
  if (c.env?.incoming) dropBody(c.env.incoming);
  const instance = c.get("requestId");
  const failure = hasLeft(c) ? new CurvdError("aborted", "The client left") : error;
  const problem = problemOf(failure, instance);
  if (problem.status === 500) {
    log.error("a request met a bug", { request: instance, error: failure });
  }
  // c.json would declare another media type
  return c.body(JSON.stringify(problem), problem.status as ContentfulStatusCode, {
    ...headersOf(failure, problem.status),
    ...(WITHOUT_REST.includes(problem.status) && !c.env?.incoming?.complete
      ? { connection: "close" }
      : {}),
    "content-type": "application/problem+json",
  });
}

function headersOf(error: unknown, status: number): Record<string, string> {
  const { retryAfter, allow } = error instanceof CurvdError ? error.facts : {};
  const headers: Record<string, string> = {};
  if (status === 503 || retryAfter !== undefined) {
    headers["retry-after"] = String(retryAfter ?? RETRY_AFTER_SECONDS);
  }
  if (status === 401) headers["www-authenticate"] = 'Bearer realm="curvd"';
  if (Array.isArray(allow)) headers.allow = allow.join(", ");
  return headers;
}

/** Facts that JSON can carry: it has no NaN, no infinity, no bigint. */
function printable(facts: Record<string, unknown>): Record<string, unknown> {
  return JSON.parse(JSON.stringify(facts, (_, fact) => {
    const isUnprintable = typeof fact === "bigint" ||
      (typeof fact === "number" && !Number.isFinite(fact));
    return isUnprintable ? String(fact) : fact;
  }));
}
