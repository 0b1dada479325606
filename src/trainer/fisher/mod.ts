/**
 * Losses whose Fisher matrix can be sampled or taken exactly.
 *
 * @module
 */
export type { FisherLoss, Outputs, TermWeight } from "./loss.ts";
export { sigmoidCrossEntropy } from "./sigmoid_cross_entropy.ts";
export { softmaxCrossEntropy } from "./softmax_cross_entropy.ts";
export { squaredError } from "./squared_error.ts";
