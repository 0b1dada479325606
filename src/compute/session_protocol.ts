/**
 * What the HTTP thread asks of sessions.
 *
 * @module
 */
import type { Document } from "@/wire/mod.ts";

/** The calls of api.md, section 4. */
export const SESSION_CALLS = [
  "create",
  "list",
  "inspect",
  "patch",
  "delete",
  "statistics",
  "refresh",
  "updates",
  "steps",
  "reports",
  "factors",
  "preconditioner",
  "checkpoint",
  "restore",
  // the pieces of the last two
  "checkpoint-piece",
  "restore-begin",
  "restore-piece",
  "transfer-end",
] as const;
export type SessionCallName = typeof SESSION_CALLS[number];

/** One of them, with what its headers say. */
export interface SessionCall {
  readonly call: SessionCallName;
  /** Id of the session; absent where it has none yet. */
  readonly session?: string;
  readonly request: Document;
  /** `Idempotency-Key`, and a digest of what came under it. */
  readonly key?: { readonly key: string; readonly hash: string };
  /** `If-Match`: the revision that the change is meant for. */
  readonly revision?: number;
}

/** Of all sessions together. */
export interface SessionCounts {
  readonly known: number;
  readonly inMemory: number;
  /** Of those in memory, on the device. */
  readonly bytes: number;
  /** How many times a session has left memory for the store, since the start. */
  readonly spilled: number;
}

/** What happens to a session, for those who watch it. */
export interface SessionEvent {
  readonly event: "refresh" | "step" | "deleted";
  readonly [fact: string]: unknown;
}
