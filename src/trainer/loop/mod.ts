/**
 * The loop: training over epochs, with TensorFlow.js's callbacks.
 *
 * @module
 */
export { type Batch, type DatasetBatch, permutation, type TrainingData } from "./batches.ts";
export type { Callbacks } from "./callbacks.ts";
export { fit, type FitOptions, type History, judge, type Metric } from "./fit.ts";
