/**
 * Losses whose Fisher matrix can be sampled or taken exactly.
 *
 * @module
 */
export type { FisherLoss, Outputs, TermWeight } from "./loss.ts";
