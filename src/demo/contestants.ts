/**
 * The three ways to train that are compared: two of TensorFlow.js's own, and K-FAC, which is SGD with
 * momentum along gradients preconditioned by curvd.
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
  PROBLEMS,
  type Trainer,
} from "@/training/mod.ts";

const LOSS = PROBLEMS.mlp.loss;
/** Steps between statistics, and between new inverses. */
export const STATISTICS_EVERY = 10;
export const REFRESH_EVERY = 20;
/** λ, κ and the momentum of K-FAC. */
export const DAMPING = 0.03;
export const KL_CLIP = 0.01;
export const MOMENTUM = 0.9;
/** Steps after which a decaying rate is half of what it began with. */
export const HALF_RATE = 20;

/** A learning rate, as it is at each step from 0. */
export interface Rate {
  readonly initial: number;
  readonly decays: boolean;
}

export function rateAt({ initial, decays }: Rate, step: number): number {
  return decays ? initial / (1 + step / HALF_RATE) : initial;
}

/** A way to train, with the learning rates it is tried at. */
export interface Contestant {
  readonly name: string;
  /** Each is tried constant and decaying. */
  readonly rates: readonly number[];
  /** The best of these, for `--quick`. */
  readonly best: Rate;
  start(model: Sequential, rate: Rate, seed: number): Trainer;
}

export const sgd: Contestant = {
  name: "SGD with momentum",
  rates: [0.02, 0.05, 0.1, 0.2, 0.5],
  best: { initial: 0.2, decays: false },
  start: (model, rate) => plain(model, rate, "sgd"),
};

export const adam: Contestant = {
  name: "Adam",
  rates: [0.001, 0.002, 0.005, 0.01, 0.02],
  best: { initial: 0.01, decays: false },
  start: (model, rate) => plain(model, rate, "adam"),
};

/** K-FAC through a server. */
export function kfac(client: CurvdClient): Contestant {
  return {
    name: "K-FAC by curvd",
    rates: [0.05, 0.1, 0.2, 0.5, 1],
    best: { initial: 0.2, decays: true },
    start: (model, rate, seed) =>
      curvatureTrainer(model, LOSS, client, {
        method: "kfac",
        learningRate: (step) => rateAt(rate, step),
        momentum: MOMENTUM,
        damping: DAMPING,
        klClip: KL_CLIP,
        statisticsEvery: STATISTICS_EVERY,
        refreshEvery: REFRESH_EVERY,
        seed,
      }),
  };
}

function plain(model: Sequential, rate: Rate, method: GradientMethod): Trainer {
  const optimizer = GRADIENT_METHODS[method](rate.initial, MOMENTUM);
  return gradientTrainer(model, LOSS, optimizer, (step) => rateAt(rate, step));
}
