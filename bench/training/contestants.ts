/**
 * Who is compared on which problem, each with as many tries as the others.
 *
 * @module
 */
import type { Sequential } from "@tensorflow/tfjs";
import { PIXELS } from "@/datasets/mod.ts";
import type { CurvdClient, Warmup } from "@/trainer/mod.ts";
import {
  curvatureTrainer,
  GRADIENT_METHODS,
  type GradientMethod,
  gradientTrainer,
  isGradientMethod,
  type ProblemName,
  PROBLEMS,
  type Trainer,
  WARMUP,
} from "@/training/mod.ts";
import type { SessionMethodName } from "@/wire/mod.ts";

export type Method = GradientMethod | SessionMethodName;

/** What a try sets. */
export interface Candidate {
  readonly rate: number;
  readonly momentum: number;
  /** λ, in the units of the loss summed over its terms; of curvature alone. */
  readonly damping?: number;
}

export const BATCH_SIZE = 512;
/** Of SGD. */
const MOMENTUM = 0.9;
/** Examples of a batch that statistics are of. */
export const STATISTICS_EXAMPLES = BATCH_SIZE / 2;

/** The baselines, in the order of the tables. */
export const BASELINES = ["sgd", "adam"] as const;

/** Methods with curvature that are compared unless others are asked for. */
export const USUAL_METHODS: Readonly<Record<BenchProblem, readonly SessionMethodName[]>> = {
  "mnist-autoencoder": ["kfac", "ekfac", "kpsvd", "deflation", "kfac_corrected"],
  "curves-autoencoder": ["kfac", "ekfac", "kpsvd", "deflation", "kfac_corrected"],
  "mnist-conv": ["kfac", "ekfac", "tkfac"],
};

export type BenchProblem = Exclude<ProblemName, "mlp">;

/** Learning rates of the baselines. */
const RATES = {
  sgd: [1e-3, 1e-2, 1e-1, 3e-1, 1],
  adam: [1e-4, 3e-4, 1e-3, 3e-3, 1e-2],
} satisfies Record<GradientMethod, readonly number[]>;

/**
 * What curvature is trained with beside its tries. κ bounds a step's length, so that the rate is only
 * the longest step there may be; momentum would add ten such steps up and is one of the tries.
 */
interface CurvatureSettings {
  readonly statisticsEvery: number;
  readonly refreshEvery: number;
  /** Statistics and refreshes that the first steps have more often. */
  readonly warmup?: Warmup;
  readonly rate: number;
  /** κ, in the units of the loss as it is. */
  readonly klClip: number;
  /** Terms that the loss is the mean of: F and λ are so many times smaller than the sum's. */
  readonly terms: number;
}

const AUTO_ENCODER = {
  statisticsEvery: 10,
  refreshEvery: 20,
  warmup: WARMUP,
  rate: 1,
  klClip: 1e-4,
  terms: PIXELS,
};
export const CURVATURE: Readonly<Record<BenchProblem, CurvatureSettings>> = {
  "mnist-autoencoder": AUTO_ENCODER,
  "curves-autoencoder": AUTO_ENCODER,
  "mnist-conv": { statisticsEvery: 5, refreshEvery: 10, rate: 0.3, klClip: 1e-2, terms: 1 },
};

/** Tries of the curvature: each damping alone, and one of them with momentum. */
const DAMPINGS = [1e-3, 1e-2, 1e-4, 1e-1];
const WITH_MOMENTUM = { damping: 1e-3, momentum: 0.5 };

/** All that a run depends on beside its try, for the ledger to know it by. */
export function fixedSettings(problem: BenchProblem, method: Method): object {
  if (isGradientMethod(method)) return { BATCH_SIZE };
  const { rate, klClip, warmup, ...every } = CURVATURE[problem];
  return {
    BATCH_SIZE,
    STATISTICS_EVERY: every.statisticsEvery,
    STATISTICS_EXAMPLES,
    REFRESH_EVERY: every.refreshEvery,
    rate,
    klClip,
    ...(warmup && { warmup }),
  };
}

/** The tries of a method, the same number for all; those that come first are tried if there are fewer. */
export function candidatesOf(problem: BenchProblem, method: Method): Candidate[] {
  if (isGradientMethod(method)) {
    return RATES[method].map((rate) => ({ rate, momentum: method === "sgd" ? MOMENTUM : 0 }));
  }
  const { rate } = CURVATURE[problem];
  return [
    ...DAMPINGS.map((damping) => ({ rate, momentum: 0, damping })),
    { rate, ...WITH_MOMENTUM },
  ];
}

export function trainerOf(
  problem: BenchProblem,
  method: Method,
  { rate, momentum, damping }: Candidate,
  client: CurvdClient,
  model: Sequential,
  seed: number,
): Trainer {
  const { loss } = PROBLEMS[problem];
  if (isGradientMethod(method)) {
    return gradientTrainer(model, loss, GRADIENT_METHODS[method](rate, momentum), () => rate);
  }
  const { klClip, terms, statisticsEvery, refreshEvery, warmup } = CURVATURE[problem];
  return curvatureTrainer(model, loss, client, {
    method,
    learningRate: rate,
    momentum,
    damping: damping! / terms,
    klClip,
    statisticsEvery,
    refreshEvery,
    warmup,
    statisticsExamples: STATISTICS_EXAMPLES,
    seed,
  });
}

export function nameOf({ rate, momentum, damping }: Candidate): string {
  return [
    `η ${rate}`,
    ...(damping === undefined ? [] : [`λ ${damping}`]),
    ...(momentum > 0 ? [`momentum ${momentum}`] : []),
  ].join(", ");
}
