/** Errors below `/v2`, as the Open Inference Protocol has them: `{"error": "…"}`. @module */
import type { Context } from "hono";
import { onError } from "../problem.ts";

/** Whether a request speaks the protocol, whatever became of it. */
export function isInference({ req }: Context): boolean {
  return req.path === "/v2" || req.path.startsWith("/v2/");
}

/** The native problem with its status and headers, in the protocol's words. */
export async function onInferenceError(error: unknown, c: Context): Promise<Response> {
  const problem = onError(error, c);
  const { detail, suggestion } = await problem.json();
  const headers = new Headers(problem.headers);
  headers.set("content-type", "application/json");
  const message = suggestion === undefined ? detail : `${detail}; ${suggestion}`;
  return new Response(JSON.stringify({ error: message }), { status: problem.status, headers });
}
