/**
 * A place for each request that computes, taken before its body is read and left when its answer has gone.
 *
 * @module
 */
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import type { Admission, Claim, Place, Priority } from "@/admission/mod.ts";
import { CurvdError } from "@/errors.ts";
import { declaredLength } from "./body.ts";
import { type AppEnv, hasLeft, routeOf, whenAnswered } from "./context.ts";

/** What a training step waits for, and what nobody waits for; everything else lies between. */
const PRIORITIES: Readonly<Record<string, Priority>> = {
  "updates": "urgent",
  "steps": "urgent",
  "reports": "urgent",
  "refresh": "background",
  "checkpoint": "background",
  "approximation-errors": "background",
};

/** Memory for each byte of a body: the body, its tensors on the host and on the device, and an answer. */
const BYTES_PER_BODY_BYTE = 4;
/** Of a checkpoint, whose tensors lie as they came. */
const BYTES_PER_CHECKPOINT_BYTE = 2;

export const LONGEST_TIMEOUT_MS = 86_400_000;

/** The limits of bodies, for one that does not declare its length. */
export interface BodyLimits {
  readonly maxBodyBytes: number;
  readonly maxCheckpointBytes: number;
}

/** The middleware. Streams of events take no place: they compute nothing, and last. */
export function admit(admission: Admission, limits: BodyLimits) {
  return createMiddleware<AppEnv>(async function takePlace(c, next) {
    if (nounOf(c) === "events") return await next();
    const place = admission.enter(claimOf(c, limits));
    c.set("place", place);
    try {
      await next();
    } finally {
      whenAnswered(c, () => place.leave()); // an answer that is still being sent holds its memory
    }
  });
}

/** Runs a request's work in its turn. @param work is given the signal that ends it. */
export function inTurn<T>(
  c: Context,
  work: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  const place = placeOf(c);
  return place === undefined ? work(undefined) : place.work(() => work(place.signal));
}

/** Milliseconds that a request waited for its turn. */
export function waitedMs(c: Context): number {
  return placeOf(c)?.waitedMs ?? 0;
}

function placeOf(c: Context): Place | undefined {
  return c.get("place");
}

function claimOf(c: Context<AppEnv>, { maxBodyBytes, maxCheckpointBytes }: BodyLimits): Claim {
  const who = c.get("key").id;
  const noun = nounOf(c);
  const session = c.req.param("id");
  const isCheckpoint = noun === "checkpoint";
  const most = isCheckpoint ? maxCheckpointBytes : maxBodyBytes;
  const bytes = hasBody(c) ? Math.min(declaredLength(c.req.raw) ?? most, most) : 0;
  return {
    who,
    route: `${c.req.method} ${routeOf(c) ?? noun}`,
    bytes,
    reservedBytes: bytes * (isCheckpoint ? BYTES_PER_CHECKPOINT_BYTE : BYTES_PER_BODY_BYTE),
    priority: PRIORITIES[noun] ?? "normal",
    lane: session === undefined ? undefined : `${who}/${session}`,
    deadlineMs: timeoutOf(c),
    client: leavingOf(c),
  };
}

/** Aborted when the client leaves. */
function leavingOf(c: Context<AppEnv>): AbortSignal {
  const outgoing = c.env?.outgoing;
  if (outgoing === undefined) return c.req.raw.signal;
  const leaving = new AbortController();
  outgoing.once("close", () => hasLeft(c) && leaving.abort());
  return leaving.signal;
}

/** The last word of the path: what is asked for. */
function nounOf({ req }: Context): string {
  return req.param("model") ?? req.path.slice(req.path.lastIndexOf("/") + 1);
}

function hasBody({ req }: Context): boolean {
  return req.header("content-length") !== undefined ||
    req.header("transfer-encoding") !== undefined;
}

/** `Curvd-Timeout-Ms`. @throws CurvdError `invalid-request`. */
function timeoutOf({ req }: Context): number | undefined {
  const header = req.header("curvd-timeout-ms");
  if (header === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) : NaN;
  if (ms >= 1 && ms <= LONGEST_TIMEOUT_MS) return ms;
  const most = `1 to ${LONGEST_TIMEOUT_MS}`;
  throw new CurvdError("invalid-request", `Curvd-Timeout-Ms is a whole number from ${most}`, {
    value: header.slice(0, 60),
    limit: [1, LONGEST_TIMEOUT_MS],
  });
}
