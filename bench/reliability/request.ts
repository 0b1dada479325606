/** A request that is asked again until the server has taken it: what a careful client does. @module */
import { MEDIA_TYPES } from "../../src/wire/mod.ts";
import type { Tally } from "./tally.ts";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Longest that a server may be asked again, and longest for one attempt. */
const GIVE_UP_MS = 60_000;

/**
 * Asks until there is an answer that is no "not now".
 *
 * 429 and 503 are asked again after what `Retry-After` says (at most a second here, so that a bench
 * has many); 503 must carry it.
 *
 * @throws Error where the server cannot be reached, or not within a minute.
 */
export async function ask(url: string, asked: Asked, tally: Tally): Promise<Answer> {
  const { method, path, headers, body } = asked;
  const begun = performance.now();
  while (performance.now() - begun < GIVE_UP_MS) {
    const response = await fetch(`${url}${path}`, {
      method,
      headers,
      body,
      signal: AbortSignal.timeout(GIVE_UP_MS),
    });
    const answer = {
      status: response.status,
      headers: response.headers,
      body: await response.bytes(),
    };
    tally.answered(method, path, answer.status);
    if (answer.status !== 429 && answer.status !== 503) return answer;
    const retryAfter = Number(answer.headers.get("retry-after") ?? NaN);
    if (!(retryAfter >= 0)) tally.wrong(`${answer.status} of ${path} without Retry-After`);
    await new Promise((resolve) => setTimeout(resolve, Math.min(1000, 1000 * retryAfter)));
  }
  throw new Error(`${path} was not taken within ${GIVE_UP_MS} ms`);
}

export const JSON_HEADERS = { "content-type": MEDIA_TYPES.json };
export const SAFETENSORS_HEADERS = { "content-type": MEDIA_TYPES.safetensors };

export function json(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}

export function parsed(body: Uint8Array<ArrayBuffer>) {
  return JSON.parse(new TextDecoder().decode(body));
}
