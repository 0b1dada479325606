/**
 * Calls that a cpu engine may have beside one another.
 *
 * @module
 */
import type { Document, InversesRequest } from "@/wire/mod.ts";
import type { CallName } from "../protocol.ts";

/** Whether a call makes no matrix products outside of its linear algebra: inverses under a list of dampings are made from spectra. */
export function onlySolves(call: CallName, request: Document): boolean {
  switch (call) {
    case "eigenbases":
    case "inverse-roots":
      return true;
    case "inverses":
      return !Array.isArray((request as unknown as InversesRequest).damping);
    default:
      return false;
  }
}
