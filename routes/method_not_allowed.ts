/** 405 with `Allow`, where a path exists but not for the method asked. @module */
import type { Env, Hono } from "hono";
import { CurvdError } from "@/errors.ts";

/** Closes every path mounted so far to all methods it has no handler for. */
export function refuseOtherMethods<E extends Env>(app: Hono<E>): void {
  const allowed = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method === "ALL") continue; // middleware
    const methods = allowed.get(path) ?? new Set();
    methods.add(method);
    if (method === "GET") methods.add("HEAD");
    allowed.set(path, methods);
  }
  for (const [path, methods] of allowed) {
    const allow = [...methods, "OPTIONS"];
    app.options(path, (c) => c.body(null, 204, { allow: allow.join(", ") }));
    app.all(path, ({ req }) => {
      throw new CurvdError("method-not-allowed", `${req.method} is not a method of ${req.path}`, {
        value: req.method,
        allow,
      });
    });
  }
}
