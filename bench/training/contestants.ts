/**
 * Who is compared on which problem, each with as many tries as the others.
 *
 * @module
 */
import type { Sequential } from "@tensorflow/tfjs";
import type { CurvdClient } from "@/trainer/mod.ts";
import {
  curvatureTrainer,
  GRADIENT_METHODS,
  type GradientMethod,
  gradientTrainer,
  isGradientMethod,
  type ProblemName,
  PROBLEMS,
  type Trainer,
} from "@/training/mod.ts";
import type { SessionMethodName } from "@/wire/mod.ts";

export type Method = GradientMethod | SessionMethodName;

/** What a try sets. */
export interface Candidate {
  readonly rate: number;
  /** λ; of curvature alone. */
  readonly damping?: number;
}

export const BATCH_SIZE = 512;
export const MOMENTUM = 0.9;
export const KL_CLIP = 1e-2;
export const STATISTICS_EVERY = 10;
export const REFRESH_EVERY = 20;
/** Examples of a batch that statistics are of: a quarter, as Koroko et al. take. */
export const STATISTICS_EXAMPLES = BATCH_SIZE / 4;

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

/** Dampings of the curvature, at one rate; and the middle one at another. */
const DAMPINGS = [1e-4, 1e-3, 1e-2, 1e-1];
const CURVATURE_RATES: Readonly<Record<BenchProblem, readonly [usual: number, other: number]>> = {
  "mnist-autoencoder": [0.03, 0.1],
  "curves-autoencoder": [0.03, 0.1],
  "mnist-conv": [0.03, 0.1],
};
const OTHER_DAMPING = 1e-3;

/** The tries of a method, the same number for all. */
export function candidatesOf(problem: BenchProblem, method: Method): Candidate[] {
  if (isGradientMethod(method)) return RATES[method].map((rate) => ({ rate }));
  const [usual, other] = CURVATURE_RATES[problem];
  return [
    ...DAMPINGS.map((damping) => ({ rate: usual, damping })),
    { rate: other, damping: OTHER_DAMPING },
  ];
}

export function trainerOf(
  problem: BenchProblem,
  method: Method,
  { rate, damping }: Candidate,
  client: CurvdClient,
  model: Sequential,
  seed: number,
): Trainer {
  const { loss } = PROBLEMS[problem];
  if (isGradientMethod(method)) {
    return gradientTrainer(model, loss, GRADIENT_METHODS[method](rate, MOMENTUM), () => rate);
  }
  return curvatureTrainer(model, loss, client, {
    method,
    learningRate: rate,
    momentum: MOMENTUM,
    damping,
    klClip: KL_CLIP,
    statisticsEvery: STATISTICS_EVERY,
    refreshEvery: REFRESH_EVERY,
    statisticsExamples: STATISTICS_EXAMPLES,
    seed,
  });
}

export function nameOf(candidate: Candidate): string {
  const { rate, damping } = candidate;
  return damping === undefined ? `η ${rate}` : `η ${rate}, λ ${damping}`;
}
