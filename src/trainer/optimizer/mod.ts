/**
 * The optimizer: curvature by a curvd server in the form that TensorFlow.js users know.
 *
 * @module
 */
export type { Warmup } from "./cadence.ts";
export type { NamedTensor } from "./descent.ts";
export type { OptimizerStatus, StepReport, TrainerEvent } from "./events.ts";
export { CurvatureOptimizer } from "./optimizer.ts";
export {
  type CurvatureOptions,
  type LossFunction,
  type Mode,
  type OnLate,
  type OnLost,
  type SessionFields,
  type Settings,
} from "./options.ts";
export {
  cosineDecay,
  exponentialDecay,
  linearDecay,
  piecewise,
  type Schedule,
  warmup,
} from "./schedules.ts";
