/**
 * Errors below `/v2`, as the Open Inference Protocol has them: `{"error": "…"}`, and beside it the
 * native problem's members, for a client that acts on them.
 *
 * @module
 */
import type { Context } from "hono";
import { onError } from "../problem.ts";

/** Whether a request speaks the protocol, whatever became of it. */
export function isInference({ req }: Context): boolean {
  return req.path === "/v2" || req.path.startsWith("/v2/");
}

/** The native problem with its status and headers, in the protocol's words. */
export async function onInferenceError(failure: unknown, c: Context): Promise<Response> {
  const response = onError(failure, c);
  const problem = await response.json();
  const headers = new Headers(response.headers);
  headers.set("content-type", "application/json");
  const { detail, suggestion } = problem;
  const error = suggestion === undefined ? detail : `${detail}; ${suggestion}`;
  return new Response(JSON.stringify({ error, ...problem }), { status: response.status, headers });
}
