/** The stateless calls: what each takes and answers, by the noun of its URL. @module */
import { ApproximationErrorsAnswer, ApproximationErrorsRequest } from "./approximation_errors.ts";
import { EigenbasesAnswer, EigenbasesRequest } from "./eigenbases.ts";
import { FactorsAnswer, FactorsRequest } from "./factors.ts";
import { InverseRootsAnswer, InverseRootsRequest } from "./inverse_roots.ts";
import { InversesAnswer, InversesRequest } from "./inverses.ts";
import { KroneckerTermsAnswer, KroneckerTermsRequest } from "./kronecker_terms.ts";
import { PlanAnswer, PlanRequest } from "./plan.ts";
import { ScalingsAnswer, ScalingsRequest } from "./scalings.ts";
import { UpdatesAnswer, UpdatesRequest } from "./updates.ts";

export const CALL_SCHEMAS = {
  "factors": { request: FactorsRequest, answer: FactorsAnswer },
  "inverses": { request: InversesRequest, answer: InversesAnswer },
  "eigenbases": { request: EigenbasesRequest, answer: EigenbasesAnswer },
  "scalings": { request: ScalingsRequest, answer: ScalingsAnswer },
  "kronecker-terms": { request: KroneckerTermsRequest, answer: KroneckerTermsAnswer },
  "updates": { request: UpdatesRequest, answer: UpdatesAnswer },
  "approximation-errors": {
    request: ApproximationErrorsRequest,
    answer: ApproximationErrorsAnswer,
  },
  "inverse-roots": { request: InverseRootsRequest, answer: InverseRootsAnswer },
  "plan": { request: PlanRequest, answer: PlanAnswer },
} as const;
