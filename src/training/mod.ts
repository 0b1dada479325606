/**
 * Training on known problems: networks and images, runs and what they are judged by.
 *
 * @module
 */
export { arrival, bestTrial, finalLoss, median, tableOf } from "./comparison.ts";
export { type Examples, type Problem, type ProblemName, PROBLEMS, score } from "./problems.ts";
export { type Curve, type CurvePoint, plotLosses } from "./plot.ts";
export { barOf, Progress } from "./progress.ts";
export {
  type Mark,
  run,
  type RunOptions,
  type Step,
  type Task,
  taskOf,
  type Trainer,
} from "./run.ts";
export { type Server, startServer } from "./server.ts";
export { type Settings, usualSettings, WARMUP } from "./settings.ts";
export {
  curvatureTrainer,
  GRADIENT_METHODS,
  type GradientMethod,
  gradientTrainer,
  isGradientMethod,
} from "./trainers.ts";
