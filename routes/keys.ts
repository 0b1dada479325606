/**
 * Who may do what: `Authorization: Bearer <secret>` (RFC 6750), and the scope that a path and method ask for.
 *
 * @module
 */
import { createMiddleware } from "hono/factory";
import { CurvdError } from "@/errors.ts";
import { type Keyring, type Scope, SCOPES } from "@/keys/mod.ts";
import type { AppEnv, Caller } from "./context.ts";

/** Answered without a key: whether the server lives, what it offers, its pages. */
const PUBLIC = /^\/($|health\/|v2\/health\/|docs(\/|$)|page\/|openapi\.json$|problems\/)/;

const ANYBODY: Caller = { id: "", scopes: SCOPES, isValid: () => true };

/** The middleware; without a keyring everybody may do everything. */
export function requireKey(keyring: Keyring | undefined) {
  return createMiddleware<AppEnv>(async function checkKey(c, next) {
    c.set("key", keyring === undefined ? ANYBODY : callerOf(c.req, keyring));
    await next();
  });
}

interface Asked {
  readonly method: string;
  readonly path: string;
  header(name: string): string | undefined;
}

function callerOf(request: Asked, keyring: Keyring): Caller {
  const scope = scopeOf(request);
  const [, secret] = /^Bearer +(\S+)$/i.exec(request.header("authorization") ?? "") ?? [];
  if (secret === undefined) {
    if (scope === null) return { id: "", scopes: [], isValid: () => true };
    throw new CurvdError("unauthorized", "A key is needed", {
      suggestion: "Authorization: Bearer <key>",
    });
  }
  const key = keyring.find(secret);
  if (key === undefined) throw new CurvdError("unauthorized", "The key is not known");
  if (scope !== null && !key.scopes.includes(scope)) {
    throw new CurvdError("forbidden", `The key "${key.id}" may not ${scope}`, {
      value: key.scopes,
      limit: scope,
    });
  }
  return { id: key.id, scopes: key.scopes, isValid: () => keyring.holds(key) };
}

/** What a request needs; null where it needs no key. */
export function scopeOf({ method, path }: Pick<Asked, "method" | "path">): Scope | null {
  if (PUBLIC.test(path)) return null;
  if (path === "/metrics") return "admin";
  return method === "GET" || method === "HEAD" || method === "OPTIONS" ? "read" : "compute";
}
