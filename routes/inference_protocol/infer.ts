/** `POST /v2/models/{call}/infer`: a stateless call in the Open Inference Protocol's words. @module */
import type { Context } from "hono";
import { MODEL_VERSION, writeInferenceAnswer } from "@/wire/mod.ts";
import { bodyOf } from "../document.ts";
import { nativeRequest } from "./native_request.ts";

export type Handler = (c: Context) => Promise<Response>;

/** @param native the handler of the call's own route: all that is done is done by it. */
export async function infer(c: Context, call: string, native: Handler): Promise<Response> {
  const { request, form } = await nativeRequest(c.req.raw);
  const response = await withRequest(c, request, () => native(c));
  const model = { name: call, version: MODEL_VERSION };
  // the listener's own Response has no bytes()
  const file = new Uint8Array(await response.arrayBuffer());
  const { parts, headBytes } = writeInferenceAnswer(file, model, form);

  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  const headers = new Headers(response.headers);
  headers.set("content-length", String(bytes));
  headers.delete("vary");
  if (headBytes === undefined) headers.set("content-type", "application/json");
  else {
    headers.set("content-type", "application/octet-stream");
    headers.set("inference-header-content-length", String(headBytes));
  }
  return new Response(bodyOf(parts, bytes), { headers });
}

/** Runs a handler on another request than the connection's: it must read that one's body. */
async function withRequest<T>(c: Context, request: Request, handle: () => Promise<T>): Promise<T> {
  const { env, req: { raw } } = c;
  try {
    c.req.raw = request;
    c.env = { ...env, incoming: undefined };
    return await handle();
  } finally {
    c.req.raw = raw;
    c.env = env;
  }
}
