/**
 * A session's server-sent events, watched through breaks of the connection.
 *
 * @module
 */
import { EventSourceParserStream } from "eventsource-parser/stream";
import { CurvdError } from "@/errors.ts";
import type { CurvdClient } from "./client.ts";
import { backoffMs, DEFAULT_RETRY, pause } from "./retry.ts";

/** One event with its facts, as api.md lists them. */
export interface SessionEvent {
  readonly event: "refresh" | "step" | "deleted" | (string & Record<never, never>);
  readonly [fact: string]: unknown;
}

export interface EventOptions {
  /** Ends the watching. */
  readonly signal?: AbortSignal;
  /** Whether a broken connection is opened again; events in between are not told later. @default true */
  readonly reconnect?: boolean;
}

/**
 * Watches. Ends when the session is deleted or the signal aborted.
 *
 * @throws CurvdError `not-found` where there is no such session (any more).
 */
export async function* watchEvents(
  client: CurvdClient,
  path: string,
  { signal, reconnect = true }: EventOptions = {},
): AsyncGenerator<SessionEvent, void> {
  for (let failures = 0;;) {
    try {
      const response = await client.open(path, "text/event-stream", { signal });
      const messages = response.body!.pipeThrough(new TextDecoderStream())
        .pipeThrough(new EventSourceParserStream());
      for await (const { event = "message", data } of messages) {
        failures = 0;
        yield { event, ...JSON.parse(data) };
        if (event === "deleted") return;
      }
      if (!reconnect) return;
    } catch (error) {
      if (signal?.aborted) return;
      if (error instanceof CurvdError || !reconnect) throw error;
    }
    failures++;
    try {
      await pause(backoffMs(failures, DEFAULT_RETRY), signal);
    } catch {
      return; // aborted
    }
  }
}
