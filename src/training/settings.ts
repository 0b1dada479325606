/**
 * How a problem is trained where nothing else is said.
 *
 * @module
 */
import type { ProblemName } from "./problems.ts";
import { isGradientMethod } from "./trainers.ts";

/** What a method can be told, whichever it is. */
export interface Settings {
  readonly learningRate: number;
  readonly momentum: number;
  /** λ; of methods with curvature alone, like all that follow. */
  readonly damping: number;
  /** κ; null for none. */
  readonly klClip: number | null;
  readonly statisticsEvery: number;
  readonly refreshEvery: number;
}

const MOMENTUM = 0.9;
const STATISTICS_EVERY = 10;
const REFRESH_EVERY = 20;

/** Learning rates, by what gives the direction. */
const RATES = {
  "mnist-autoencoder": { sgd: 1, adam: 1e-3, curvature: 0.3 },
  "curves-autoencoder": { sgd: 1, adam: 1e-3, curvature: 0.3 },
  "mnist-conv": { sgd: 0.1, adam: 3e-3, curvature: 0.1 },
  mlp: { sgd: 0.2, adam: 3e-3, curvature: 0.1 },
} satisfies Record<ProblemName, Record<"sgd" | "adam" | "curvature", number>>;

const CURVATURE = {
  "mnist-autoencoder": { damping: 1e-3, klClip: 1e-2 },
  "curves-autoencoder": { damping: 1e-3, klClip: 1e-2 },
  "mnist-conv": { damping: 3e-2, klClip: 1e-2 },
  mlp: { damping: 3e-2, klClip: 1e-2 },
} satisfies Record<ProblemName, Pick<Settings, "damping" | "klClip">>;

export function usualSettings(problem: ProblemName, method: string): Settings {
  return {
    learningRate: RATES[problem][isGradientMethod(method) ? method : "curvature"],
    momentum: MOMENTUM,
    ...CURVATURE[problem],
    statisticsEvery: STATISTICS_EVERY,
    refreshEvery: REFRESH_EVERY,
  };
}
