/**
 * Capture: what curvature is made of, from a TensorFlow.js model's own forward and backward pass.
 *
 * @module
 */
export type {
  BlockDescription,
  BlockGradient,
  BlockSizes,
  BlockUpdate,
  LayerBlock,
  UncoveredLayer,
} from "./block.ts";
export { type Captured, type CaptureSettings, ModelCapture, type PassSettings } from "./capture.ts";
export {
  disposeStatistics,
  type LayerStatistics,
  type Statistics,
  type StatisticsRequest,
} from "./statistics.ts";
