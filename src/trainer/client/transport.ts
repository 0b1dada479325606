/**
 * Requests and answers as bytes: attempts, timeouts, and what an error's answer becomes.
 *
 * @module
 */
import { CurvdError, type ErrorCode } from "@/errors.ts";
import { retryAfterMs, type RetryOptions, TransientFailure, withRetries } from "./retry.ts";

/** What a caller may say of any one call. */
export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Of an attempt, its answer's body included. */
  readonly timeoutMs?: number;
}

export interface TransportOptions {
  /** Sent as `Authorization: Bearer`. */
  readonly key?: string;
  /** Of an attempt, its answer's body included. @default 60000 */
  readonly timeoutMs?: number;
  readonly retry?: RetryOptions;
  /** Stands in for the platform's own. */
  readonly fetch?: typeof fetch;
  /** Told of every answer. */
  readonly onExchange?: (exchange: Exchange) => void;
}

/** What an answered request cost. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** From sending to the last byte, of the attempt that was answered. */
  readonly ms: number;
  readonly attempts: number;
}

export interface Message {
  readonly method: string;
  /** Below the server's address, with its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Longest piece of a stranger's answer that an error quotes. */
const QUOTED = 200;
const TIMEOUT_MS = 60_000;

export class Transport {
  readonly #options: TransportOptions;

  constructor(readonly url: string, options: TransportOptions = {}) {
    this.#options = options;
  }

  /**
   * Sends a request until it is answered.
   *
   * Every request can be sent again: stateless calls change nothing, those that change a session
   * carry an Idempotency-Key.
   *
   * @throws CurvdError as the server threw it; `malformed-body` where what answers is no curvd.
   * @throws UnreachableError where no answer came; the signal's reason where that was aborted.
   */
  async exchange(message: Message, { signal, timeoutMs }: CallOptions = {}): Promise<Reply> {
    const { retry = {}, timeoutMs: usual = TIMEOUT_MS, onExchange } = this.#options;
    const address = String(new URL(message.path, this.url));
    return await withRetries(
      async (attempts) => {
        const begun = performance.now();
        const reply = await this.#attempt(address, message, timeoutMs ?? usual, signal);
        onExchange?.({
          method: message.method,
          path: message.path,
          status: reply.status,
          sentBytes: message.body?.byteLength ?? 0,
          receivedBytes: reply.body.byteLength,
          ms: performance.now() - begun,
          attempts,
        });
        return reply;
      },
      address,
      retry,
      signal,
    );
  }

  /** The answer as it arrives, for streams: no attempts, no timeout. @throws as {@linkcode exchange}. */
  async open(message: Message, { signal }: CallOptions = {}): Promise<Response> {
    const address = String(new URL(message.path, this.url));
    const response = await this.#fetch(address, message, signal);
    if (!response.ok) throw errorOf(response, new Uint8Array(await response.arrayBuffer()));
    return response;
  }

  async #attempt(
    address: string,
    message: Message,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Reply> {
    signal?.throwIfAborted();
    const patience = new AbortController();
    const timer = setTimeout(
      () => patience.abort(new DOMException(`No answer in ${timeoutMs} ms`, "TimeoutError")),
      timeoutMs,
    );
    const either = signal ? AbortSignal.any([signal, patience.signal]) : patience.signal;
    try {
      const headers = { ...message.headers, "curvd-timeout-ms": String(Math.ceil(timeoutMs)) };
      const response = await this.#fetch(address, { ...message, headers }, either);
      const body = new Uint8Array(await response.arrayBuffer());
      if (response.ok || response.status === 304) {
        return { status: response.status, headers: response.headers, body };
      }
      const error = errorOf(response, body);
      if (!TRANSIENT_STATUSES.has(response.status)) throw error;
      throw new TransientFailure(error, retryAfterMs(response.headers.get("retry-after")));
    } catch (error) {
      signal?.throwIfAborted(); // the caller's reason, whatever fetch made of it
      if (error instanceof CurvdError || error instanceof TransientFailure) throw error;
      throw new TransientFailure(error); // no connection, a broken one, or no patience
    } finally {
      clearTimeout(timer);
    }
  }

  async #fetch(address: string, { method, headers, body }: Message, signal?: AbortSignal) {
    const { fetch: fetcher = fetch, key } = this.#options;
    return await fetcher(address, {
      method,
      body,
      headers: { ...headers, ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
      signal,
    });
  }
}

/** Too many requests, and what a proxy or a server on its way up or down says. */
const TRANSIENT_STATUSES: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** The error whose problem document this is. */
function errorOf({ url, status, headers }: Response, body: Uint8Array): CurvdError | Error {
  const text = new TextDecoder().decode(body);
  if (!headers.get("content-type")?.startsWith("application/problem+json")) {
    const why = `${url} answers ${status} ${text.slice(0, QUOTED)}`;
    // a proxy's own page says nothing of the server behind it
    if (TRANSIENT_STATUSES.has(status)) return new Error(why);
    return strangerError(url, `it answers ${status} ${text.slice(0, QUOTED)}`);
  }
  const { type, title: _, detail, ...facts } = JSON.parse(text) as Record<string, unknown>;
  const code = String(type).split("/").at(-1) as ErrorCode;
  return new CurvdError(code, String(detail), facts);
}

/** What answers is another server. */
export function strangerError(url: string, why: string): CurvdError {
  return new CurvdError("malformed-body", `${url} is no curvd: ${why}`);
}
