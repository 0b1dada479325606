/**
 * A request's bytes, read under a limit.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import { CurvdError } from "@/errors.ts";
import { giveBack } from "./memory.ts";

/** First guess at the size of a body that does not declare one. */
const CHUNKED_BYTES = 2 ** 16;

/**
 * Reads the body into one array.
 *
 * A declared length is held against the limit before a byte is read or reserved; a chunked body is
 * counted as it comes.
 *
 * @param incoming the request as `node:http` has it, where it came over that: read by its events, a body takes a quarter
 *   less of the processor than by the stream of a `Request`.
 * @throws CurvdError `body-too-large`; `aborted` where the client leaves halfway.
 */
export async function readBody(
  request: Request,
  maxBytes: number,
  incoming?: IncomingMessage,
): Promise<Uint8Array<ArrayBuffer>> {
  const declared = declaredLength(request);
  if (declared !== undefined && declared > maxBytes) throw tooLarge(declared, maxBytes);

  let body = new Uint8Array(declared ?? CHUNKED_BYTES);
  let filled = 0;
  const take = (chunk: Uint8Array) => {
    const end = filled + chunk.length;
    if (end > maxBytes) throw tooLarge(end, maxBytes);
    if (end > body.length) body = grown(body, Math.min(Math.max(end, 2 * body.length), maxBytes));
    body.set(chunk, filled);
    filled = end;
  };
  if (incoming) await eachChunk(incoming, take);
  else for await (const chunk of chunksOf(request)) take(chunk);
  return filled === body.length ? body : body.slice(0, filled);
}

/** Reads to its end what nobody will look at, as the next request comes behind it. A client that waits to be asked is not. */
export function dropBody(incoming: IncomingMessage): void {
  if (incoming.readableEnded || incoming.destroyed || incoming.headers.expect) return;
  incoming.on("data", giveBack);
}

/** The body's length as its headers have it; undefined for a chunked one. */
export function declaredLength(request: Request): number | undefined {
  const length = request.headers.get("content-length");
  return length !== null && /^\d+$/.test(length) ? Number(length) : undefined;
}

/** The body as it comes. @throws CurvdError `aborted` where the client leaves halfway. */
export async function* chunksOf({ body, signal }: Request): AsyncGenerator<Uint8Array> {
  try {
    if (body !== null) yield* body;
  } catch (error) {
    // a client that dies in mid-upload is an I/O error here
    throw new CurvdError("aborted", "The client left before its body was whole", {}, {
      cause: signal.aborted ? signal.reason : error,
    });
  }
}

/** Hands on the chunks as they come, until the end or until one is refused. */
async function eachChunk(
  incoming: IncomingMessage,
  take: (chunk: Uint8Array) => void,
): Promise<void> {
  const ended = Promise.withResolvers<void>();
  const leave = () => {
    const message = "The client left before its body was whole";
    ended.reject(new CurvdError("aborted", message));
  };
  const onData = (chunk: Uint8Array) => {
    try {
      take(chunk);
      giveBack(chunk);
    } catch (error) {
      ended.reject(error);
    }
  };
  if (incoming.destroyed) leave();
  incoming.on("end", ended.resolve).on("error", leave).on("close", leave).on("data", onData);
  try {
    await ended.promise;
  } finally {
    incoming.off("data", onData).off("end", ended.resolve).off("error", leave).off("close", leave);
  }
}

function grown(body: Uint8Array, bytes: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(bytes);
  larger.set(body);
  return larger;
}

function tooLarge(value: number, limit: number): CurvdError {
  return new CurvdError("body-too-large", `A body may have ${limit} bytes, this has ${value}`, {
    value,
    limit,
    suggestion: "send fewer layers a request, F16 or BF16 tensors, or packed symmetric factors",
  });
}
