/**
 * The trainer: what turns a TensorFlow.js training loop into one preconditioned by a curvd server.
 *
 * @module
 */
export { type CallAnswer, type CallName, type CallRequest, CurvdClient } from "./client.ts";
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
