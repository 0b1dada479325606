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
export {
  type BlockDescription,
  type BlockGradient,
  type CaptureSettings,
  type LayerBlock,
  ModelCapture,
  type PassSettings,
  type StatisticsRequest,
  type UncoveredLayer,
} from "./capture/mod.ts";
export * from "./fisher/mod.ts";
export * from "./loop/mod.ts";
export * from "./optimizer/mod.ts";
