/**
 * What middleware tells the handlers of a request.
 *
 * @module
 */
import type { HttpBindings } from "@hono/node-server";
import type { Context } from "hono";
import type { RequestIdVariables } from "hono/request-id";
import { matchedRoutes } from "hono/route";
import type { Place } from "@/admission/mod.ts";
import type { Scope } from "@/keys/mod.ts";

/** Who asks. */
export interface Caller {
  /** The key's; empty where the server has no keys. */
  readonly id: string;
  readonly scopes: readonly Scope[];
  /** Whether the key is still good: an answer that goes on for long asks again. */
  readonly isValid: () => boolean;
}

export interface AppEnv {
  /** Absent where a test asks the application without a listener. */
  Bindings: Partial<HttpBindings>;
  Variables: RequestIdVariables & {
    key: Caller;
    /** Of a request that computes. */
    place?: Place;
  };
}

/** Whether the client has gone before its answer was whole. (A Request's own signal costs more to make than it tells.) */
export function hasLeft({ env, req }: Context<AppEnv>): boolean {
  const outgoing = env?.outgoing;
  if (outgoing === undefined) return req.raw.signal.aborted;
  return outgoing.destroyed && !outgoing.writableFinished;
}

/** Calls back once: when the whole answer has left, or the client. Without a listener at once. */
export function whenAnswered({ env }: Context<AppEnv>, then: () => void): void {
  const outgoing = env?.outgoing;
  if (outgoing === undefined || outgoing.destroyed) then(); // its close may be long past
  else outgoing.once("close", then);
}

/** The pattern that a request's path met, such as `/v1/sessions/:id/steps`; null where it met none. */
export function routeOf(c: Context): string | null {
  const path = matchedRoutes(c).at(-1)?.path ?? "*";
  return path.endsWith("*") ? null : path;
}
