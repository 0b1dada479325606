/**
 * Changes under an `Idempotency-Key`: done once, answered again as often as they are asked for.
 *
 * What is remembered is the answer without its tensors, and the version that a step's updates were made by.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import type { ChangeKey, RememberedChange } from "@/sessions/mod.ts";
import type { Document } from "@/wire/mod.ts";
import type { SessionCall } from "./session_protocol.ts";

/** What a key's first answer said. */
export interface Remembered {
  readonly answer: Document;
  /** Of the preconditioner that the updates were made by. */
  readonly version?: number;
}

/** The keys to keep with a change: one, or none where it came without. */
export function keysOf(
  { key, session = "" }: SessionCall,
  answer: Document,
  version?: number,
): ChangeKey[] {
  if (!key) return [];
  return [{ ...key, scope: session, answer: JSON.stringify({ answer, version }) }];
}

/** What was answered before. @throws CurvdError `invalid-request` where the key came with another request. */
export function recalled(
  before: RememberedChange,
  { key, hash }: NonNullable<SessionCall["key"]>,
): Remembered {
  if (before.hash === hash) return JSON.parse(before.answer);
  throw new CurvdError("invalid-request", "This Idempotency-Key was used for another request", {
    value: key,
    suggestion: "a new key for a new request",
  });
}
