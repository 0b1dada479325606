/** `GET` and `PUT /v1/sessions/{id}/checkpoint`: a whole session as one safetensors file, piece by piece. @module */
import { createHash } from "node:crypto";
import type { Context, Hono } from "hono";
import type { SessionCall } from "@/compute/mod.ts";
import { CurvdError } from "@/errors.ts";
import { MAX_SNAPSHOT_HEADER_BYTES } from "@/sessions/storage.ts";
import {
  type Document,
  MEDIA_TYPES,
  openSafetensors,
  PLAIN_OUTPUT,
  tensorsOf,
} from "@/wire/mod.ts";
import { chunksOf, declaredLength } from "./body.ts";
import { writeDocument } from "./document.ts";
import { sessionsOf } from "./namespace.ts";
import { encodingOfBody } from "./negotiation.ts";
import { headersOf, type SessionServices, targetOf } from "./session_request.ts";

/** Bytes handed to the socket at a time. */
const CHUNK_BYTES = 2 ** 20;

export function checkpointRoutes(app: Hono, services: SessionServices): void {
  const { compute, codec, maxCheckpointBytes } = services;
  /** Pieces of a transfer that was let in: its ticket is known to nobody else. */
  const piece = (call: SessionCall["call"], request: Document) =>
    compute.session({ call, request });

  app.get("/:id/checkpoint", async function answerCheckpoint(c: Context): Promise<Response> {
    const target = targetOf(c);
    const sessions = sessionsOf(c, compute);
    const { ticket, bytes } = await sessions.session({
      call: "checkpoint",
      ...target,
      request: {},
    });
    return c.body(ReadableStream.from(chunksOfFile(ticket)), 200, {
      "content-type": MEDIA_TYPES.safetensors,
      "content-length": String(bytes),
      "content-disposition": `attachment; filename="${target.session}.safetensors"`,
    });
  });

  /** Read from the device as the client takes them. */
  async function* chunksOfFile(ticket: unknown): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    try {
      for (;;) {
        const parts = tensorsOf(await piece("checkpoint-piece", { ticket }));
        if (parts.length === 0) return;
        for (const { data: { buffer, byteOffset, byteLength } } of parts) {
          const part = new Uint8Array(buffer, byteOffset, byteLength);
          for (let at = 0; at < part.length; at += CHUNK_BYTES) {
            yield part.subarray(at, at + CHUNK_BYTES);
          }
        }
      }
    } finally {
      await piece("transfer-end", { ticket });
    }
  }

  app.put("/:id/checkpoint", async function takeCheckpoint(c: Context): Promise<Response> {
    const request = c.req.raw;
    if (encodingOfBody(request.headers) !== "safetensors") {
      throw new CurvdError("unsupported-media-type", "A checkpoint is a safetensors file", {
        limit: MEDIA_TYPES.safetensors,
      });
    }
    const target = targetOf(c), sessions = sessionsOf(c, compute);
    const digest = c.req.header("idempotency-key") === undefined ? null : createHash("sha256");
    const length = declaredLength(request);
    const limits = { maxBytes: maxCheckpointBytes, maxHeaderBytes: MAX_SNAPSHOT_HEADER_BYTES };
    expectShort(length, maxCheckpointBytes);
    const { layout, tensors } = await openSafetensors(
      digested(chunksOf(request, c.get("place")?.signal), digest),
      limits,
      length,
    );
    const bytes = [...layout.entries.values()].reduce(
      (sum, { shape }) => sum + 4 * shape.reduce((product, side) => product * side, 1),
      0,
    );
    const metadata = Object.fromEntries(layout.metadata);
    const { ticket } = await sessions.session({
      call: "restore-begin",
      ...target,
      request: { metadata, bytes },
    });
    try {
      for await (const [name, tensor] of tensors()) {
        await piece("restore-piece", { ticket, name, tensor });
      }
      const answer = await sessions.session({
        call: "restore",
        ...target,
        ...headersOf(c, digest?.digest("hex") ?? ""),
        request: { ticket },
      });
      return await writeDocument(c, answer, codec, "json", PLAIN_OUTPUT, {
        etag: `"${answer.revision}"`,
      });
    } finally {
      await piece("transfer-end", { ticket });
    }
  });
}

function expectShort(length: number | undefined, limit: number): void {
  if (length === undefined || length <= limit) return;
  throw new CurvdError(
    "body-too-large",
    `A checkpoint may have ${limit} bytes, this has ${length}`,
    {
      value: length,
      limit,
      suggestion: "a larger CURVD_MAX_CHECKPOINT_MB",
    },
  );
}

/** The chunks as they are, looked at on their way by a digest where there is one. */
async function* digested(
  chunks: AsyncIterable<Uint8Array>,
  digest: ReturnType<typeof createHash> | null,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    digest?.update(chunk);
    yield chunk;
  }
}
