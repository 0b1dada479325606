/**
 * A request's bytes, read under a limit.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import { clearTimeout, setTimeout } from "node:timers";
import { CurvdError } from "@/errors.ts";
import { giveBack } from "./memory.ts";

/** Nothing of a body for so long, and the request is given up: it holds a place in the queue. */
const STALLED_MS = 10_000;

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
 * @param signal of the request's deadline.
 * @throws CurvdError `body-too-large`; `aborted` where the client leaves halfway; `body-stalled`; what the signal says.
 */
export async function readBody(
  request: Request,
  maxBytes: number,
  { incoming, signal }: { incoming?: IncomingMessage; signal?: AbortSignal } = {},
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
  if (incoming) await eachChunk(incoming, take, signal);
  else for await (const chunk of chunksOf(request, signal)) take(chunk);
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

/**
 * The body as it comes.
 * @param given of the request's deadline.
 * @throws CurvdError as {@linkcode readBody}, but for the size.
 */
export async function* chunksOf(
  { body, signal }: Request,
  given?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  const patience = new Patience(given);
  try {
    for (;;) {
      const { value, done } = await Promise.race([reader.read(), patience.ended]);
      if (done) return;
      patience.renew();
      yield value;
    }
  } catch (error) {
    if (error instanceof CurvdError) throw error;
    // a client that dies in mid-upload is an I/O error here
    throw new CurvdError("aborted", "The client left before its body was whole", {}, {
      cause: signal.aborted ? signal.reason : error,
    });
  } finally {
    patience.end();
    reader.cancel().catch(() => {}); // of a body that is whole, or cut off
  }
}

/** Hands on the chunks as they come, until the end or until one is refused. */
async function eachChunk(
  incoming: IncomingMessage,
  take: (chunk: Uint8Array) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const ended = Promise.withResolvers<void>();
  const patience = new Patience(signal);
  const leave = () => {
    const message = "The client left before its body was whole";
    ended.reject(new CurvdError("aborted", message));
  };
  const onData = (chunk: Uint8Array) => {
    patience.renew();
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
    await Promise.race([ended.promise, patience.ended]);
  } finally {
    patience.end();
    incoming.off("data", onData).off("end", ended.resolve).off("error", leave).off("close", leave);
  }
}

/** How long a body is waited for: until its request is given up, or nothing came for {@linkcode STALLED_MS}. */
class Patience {
  readonly #ended = Promise.withResolvers<never>();
  readonly #timer: NodeJS.Timeout;
  readonly #giveUp = () => this.#ended.reject(this.signal!.reason);

  constructor(private readonly signal: AbortSignal | undefined) {
    this.#ended.promise.catch(() => {}); // told to whoever waits
    this.#timer = setTimeout(() => {
      const message = `Nothing of the body came for ${STALLED_MS / 1000} s`;
      this.#ended.reject(new CurvdError("body-stalled", message, { limit: STALLED_MS }));
    }, STALLED_MS);
    if (signal?.aborted) this.#giveUp();
    signal?.addEventListener("abort", this.#giveUp);
  }

  get ended(): Promise<never> {
    return this.#ended.promise;
  }

  renew(): void {
    this.#timer.refresh();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.signal?.removeEventListener("abort", this.#giveUp);
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
