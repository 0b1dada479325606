/**
 * The handlers of the stateless calls, by the noun of their URL.
 *
 * @module
 */
import type { Engine } from "@/engine/mod.ts";
import type { Document } from "@/wire/mod.ts";
import type { CallName } from "../protocol.ts";
import type { CallOptions } from "./call.ts";
import { approximationErrors } from "./approximation_errors.ts";
import { eigenbases } from "./eigenbases.ts";
import { factors } from "./factors.ts";
import { inverseRoots } from "./inverse_roots.ts";
import { inverses } from "./inverses.ts";
import { kroneckerTerms } from "./kronecker_terms.ts";
import { plan } from "./plan.ts";
import { scalings } from "./scalings.ts";
import { updates } from "./updates.ts";

export { onlySolves } from "./only_solves.ts";

/** Takes a document its schema accepted, answers one. */
export type CallHandler = (
  engine: Engine,
  request: never,
  options?: CallOptions,
) => Promise<Document>;

export const CALL_HANDLERS: Readonly<Record<CallName, CallHandler>> = {
  factors,
  inverses,
  eigenbases,
  scalings,
  updates,
  "kronecker-terms": kroneckerTerms,
  "approximation-errors": approximationErrors,
  "inverse-roots": inverseRoots,
  plan,
};
