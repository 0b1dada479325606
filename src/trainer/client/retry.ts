/**
 * When a request is sent again, and how long that waits.
 *
 *   wait_k = max(Retry-After, u · min(cap, base · 2^k)),   u ~ U(½, 1)
 *
 * The jitter keeps many clients of a server that comes back from asking all at once. Written here, not
 * taken from a library, because a body must be sent again as the array it is: a `Request` that is
 * cloned for retries holds a second copy of what may be a hundred megabytes.
 *
 * Source: Brooker 2015, "Exponential backoff and jitter" (equal jitter).
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";

export interface RetryOptions {
  /** Times that a request is sent at most, ≥ 1. @default 5 */
  readonly attempts?: number;
  /** Wait before the second attempt, in milliseconds. @default 100 */
  readonly baseMs?: number;
  /** Longest wait of the backoff. @default 5000 */
  readonly capMs?: number;
  /** A `Retry-After` beyond this ends the attempts. @default 60000 */
  readonly longestMs?: number;
}

export const DEFAULT_RETRY: Required<RetryOptions> = {
  attempts: 5,
  baseMs: 100,
  capMs: 5000,
  longestMs: 60_000,
};

/** No answer of the server came, however often it was asked. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";

  constructor(readonly url: string, readonly attempts: number, cause: unknown) {
    const last = cause instanceof Error ? cause.message : String(cause);
    super(`Cannot reach ${url}, tried ${attempts} times: ${last}`, { cause });
  }
}

/** A failure that may have passed when the request is sent again. */
export class TransientFailure extends Error {
  override readonly name = "TransientFailure";

  /**
   * @param failure what happened: the server's own error, or why there was none.
   * @param retryAfterMs what the server asked for, or 0.
   */
  constructor(readonly failure: unknown, readonly retryAfterMs = 0) {
    super("transient", { cause: failure });
  }
}

/** Whether an error says that the server is away or overworked, not that the request is wrong. */
export function isServerAway(error: unknown): boolean {
  if (error instanceof UnreachableError) return true;
  return error instanceof CurvdError &&
    ["draining", "device-lost", "queue-full", "deadline-exceeded"].includes(error.code);
}

/**
 * Runs `attempt` until it succeeds, fails for good, or has failed often enough.
 *
 * @param attempt throws {@linkcode TransientFailure} for what may pass; anything else is final.
 * @throws CurvdError of the last answer, where there was one; else {@linkcode UnreachableError}.
 */
export async function withRetries<T>(
  attempt: (number: number) => Promise<T>,
  url: string,
  options: RetryOptions,
  signal?: AbortSignal,
): Promise<T> {
  const settled = { ...DEFAULT_RETRY, ...options };
  for (let number = 1;; number++) {
    try {
      return await attempt(number);
    } catch (error) {
      if (!(error instanceof TransientFailure)) throw error;
      const { failure, retryAfterMs } = error;
      if (number >= settled.attempts || retryAfterMs > settled.longestMs) {
        throw failure instanceof CurvdError ? failure : new UnreachableError(url, number, failure);
      }
      await pause(Math.max(retryAfterMs, backoffMs(number, settled)), signal);
    }
  }
}

/** The wait after `attempt` failures. @param random uniform in [0, 1). */
export function backoffMs(
  attempt: number,
  { baseMs, capMs }: Pick<Required<RetryOptions>, "baseMs" | "capMs">,
  random: () => number = Math.random,
): number {
  return (0.5 + random() / 2) * Math.min(capMs, baseMs * 2 ** (attempt - 1));
}

/** Milliseconds of a `Retry-After` header: seconds, or a date. 0 where it says nothing. */
export function retryAfterMs(header: string | null, now = Date.now()): number {
  if (header === null) return 0;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? 1000 * seconds : Date.parse(header) - now;
  return ms > 0 ? ms : 0;
}

/** Waits. @throws the signal's reason as soon as it is aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const end = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      resolve();
    }, ms);
    signal?.addEventListener("abort", end, { once: true });
  });
}
