/** `GET` and `PUT /v1/sessions/{id}/checkpoint`: a whole session as one safetensors file. @module */
import type { Context, Hono } from "hono";
import { CurvdError } from "@/errors.ts";
import { MEDIA_TYPES, PLAIN_OUTPUT } from "@/wire/mod.ts";
import { writeDocument } from "./document.ts";
import { sessionsOf } from "./namespace.ts";
import { encodingOfBody } from "./negotiation.ts";
import { headersOf, receive, type SessionServices, targetOf } from "./session_request.ts";

export function checkpointRoutes(app: Hono, services: SessionServices): void {
  const { compute, codec, maxCheckpointBytes } = services;

  app.get("/:id/checkpoint", async function answerCheckpoint(c: Context): Promise<Response> {
    const target = targetOf(c);
    const document = await sessionsOf(c, compute).session({
      call: "checkpoint",
      ...target,
      request: {},
    });
    return await writeDocument(c, document, codec, "safetensors", PLAIN_OUTPUT, {
      "content-disposition": `attachment; filename="${target.session}.safetensors"`,
    });
  });

  app.put("/:id/checkpoint", async function takeCheckpoint(c: Context): Promise<Response> {
    if (encodingOfBody(c.req.raw.headers) !== "safetensors") {
      throw new CurvdError("unsupported-media-type", "A checkpoint is a safetensors file", {
        limit: MEDIA_TYPES.safetensors,
      });
    }
    const { document, digest } = await receive(c, services, maxCheckpointBytes);
    const answer = await sessionsOf(c, compute).session({
      call: "restore",
      request: document,
      ...targetOf(c),
      ...headersOf(c, digest),
    });
    return await writeDocument(c, answer, codec, "json", PLAIN_OUTPUT, {
      etag: `"${answer.revision}"`,
    });
  });
}
