/**
 * How a problem is trained where nothing else is said.
 *
 * @module
 */
import type { Warmup } from "@/trainer/mod.ts";
import type { ProblemName } from "./problems.ts";
import { type GradientMethod, isGradientMethod } from "./trainers.ts";

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
  readonly warmup?: Warmup;
}

/** The first steps, where an auto-encoder's statistics are taken every time: a step too far there kills units for good. */
export const WARMUP: Warmup = { steps: 20, statisticsEvery: 1 };

/** Learning rates of the optimizers without curvature. */
const RATES = {
  "mnist-autoencoder": { sgd: 1, adam: 1e-3 },
  "curves-autoencoder": { sgd: 1, adam: 1e-3 },
  "mnist-conv": { sgd: 0.1, adam: 3e-3 },
  mlp: { sgd: 0.2, adam: 3e-3 },
} satisfies Record<ProblemName, Record<GradientMethod, number>>;

/**
 * With curvature, κ bounds a step's length, and the rate is the longest there may be. Momentum would add
 * ten such steps up, far beyond where the curvature holds.
 *
 * The loss of an auto-encoder is the mean over its pixels, so F, λ and κ are in units 784 times smaller
 * than those of the sum.
 */
const AUTO_ENCODER = {
  learningRate: 1,
  damping: 1e-6,
  klClip: 1e-4,
  statisticsEvery: 10,
  refreshEvery: 20,
  warmup: WARMUP,
};
const CLASSIFIER = {
  learningRate: 0.3,
  damping: 1e-2,
  klClip: 1e-2,
  statisticsEvery: 5,
  refreshEvery: 10,
};
const CURVATURE = {
  "mnist-autoencoder": AUTO_ENCODER,
  "curves-autoencoder": AUTO_ENCODER,
  "mnist-conv": CLASSIFIER,
  mlp: CLASSIFIER,
} satisfies Record<ProblemName, Omit<Settings, "momentum">>;

/**
 * Shampoo and SOAP move with every gradient. SOAP's steps are Adam's in another basis: its rate, and ε for λ. Shampoo's have
 * no size of their own, so that κ gives them one.
 */
const BY_GRADIENTS = { statisticsEvery: 1, refreshEvery: 10, momentum: 0 };

export function usualSettings(problem: ProblemName, method: string): Settings {
  const curvature: Settings = { ...CURVATURE[problem], momentum: 0 };
  if (method === "soap") {
    return { ...BY_GRADIENTS, learningRate: RATES[problem].adam, damping: 1e-8, klClip: null };
  }
  if (method === "shampoo") return { ...curvature, ...BY_GRADIENTS, warmup: undefined };
  if (!isGradientMethod(method)) return curvature;
  return {
    ...curvature,
    learningRate: RATES[problem][method],
    momentum: method === "sgd" ? 0.9 : 0,
  };
}
