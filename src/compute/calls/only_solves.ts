/**
 * Calls that a cpu engine may have beside one another.
 *
 * @module
 */
import type { CallName } from "../protocol.ts";

const CALLS: readonly CallName[] = ["inverses", "eigenbases", "inverse-roots"];

/** Whether a call makes no matrix products outside of its linear algebra. */
export function onlySolves(call: CallName): boolean {
  return CALLS.includes(call);
}
