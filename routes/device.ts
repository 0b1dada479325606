/** `GET /v1/device`: the engine, why it runs, its limits and memory. @module */
import type { Context } from "hono";
import type { Compute } from "@/compute/mod.ts";
import { type Codec, PLAIN_OUTPUT } from "@/wire/mod.ts";
import { writeDocument } from "./document.ts";
import { encodingOfAnswer } from "./negotiation.ts";

export function deviceHandler(compute: Compute, codec: Codec) {
  return async function answerDevice(c: Context): Promise<Response> {
    const encoding = encodingOfAnswer(c.req.raw.headers.get("accept"), "json");
    return await writeDocument(c, { ...await compute.device() }, codec, encoding, PLAIN_OUTPUT);
  };
}
