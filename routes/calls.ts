/** The stateless calls that can be mounted. @module */
import { approximationErrors } from "./approximation_errors.ts";
import { eigenbases } from "./eigenbases.ts";
import { factors } from "./factors.ts";
import { inverseRoots } from "./inverse_roots.ts";
import { inverses } from "./inverses.ts";
import { kroneckerTerms } from "./kronecker_terms.ts";
import { plan } from "./plan.ts";
import { scalings } from "./scalings.ts";
import type { StatelessCall } from "./stateless.ts";
import { updates } from "./updates.ts";

export const STATELESS_CALLS: readonly StatelessCall[] = [
  factors,
  inverses,
  eigenbases,
  scalings,
  kroneckerTerms,
  updates,
  approximationErrors,
  inverseRoots,
  plan,
];
