/**
 * The trainer: what turns a TensorFlow.js training loop into one preconditioned by a curvd server.
 *
 * @module
 */
export * from "./client/mod.ts";
export {
  type Captured,
  captureGradients,
  captureStatistics,
  disposeStatistics,
  type LayerStatistics,
  type Statistics,
} from "./capture.ts";
export { type DenseLayer, denseLayers } from "./dense_layers.ts";
export { sampledCrossEntropy } from "./fisher.ts";
export { KfacPreconditioner, type KfacSettings } from "./kfac.ts";
export type { OptimizerStatus, StepReport, TrainerEvent } from "./optimizer/events.ts";
export {
  type CurvatureOptions,
  type LossFunction,
  type Mode,
  type OnLate,
  type OnLost,
} from "./optimizer/options.ts";
export * from "./optimizer/schedules.ts";
