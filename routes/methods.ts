/** `GET /v1/methods`: the curvature methods on offer, as their registry describes them. @module */
import type { Context } from "hono";
import { type Codec, PLAIN_OUTPUT } from "@/wire/mod.ts";
import { writeDocument } from "./document.ts";
import { encodingOfAnswer } from "./negotiation.ts";

export function methodsHandler(methods: readonly unknown[], codec: Codec) {
  return async function answerMethods(c: Context): Promise<Response> {
    const encoding = encodingOfAnswer(c.req.raw.headers.get("accept"), "json");
    return await writeDocument(c, { methods }, codec, encoding, PLAIN_OUTPUT);
  };
}
