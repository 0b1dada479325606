/**
 * The three ways to train that are compared. Each takes TensorFlow.js's own step: K-FAC is SGD with
 * momentum whose gradients curvd has preconditioned.
 *
 * @module
 */
import { dispose, type Sequential, type SGDOptimizer, type Tensor, train } from "@tensorflow/tfjs";
import {
  type CurvdClient,
  disposeStatistics,
  KfacPreconditioner,
  ModelCapture,
} from "@/trainer/mod.ts";
import { GRADIENT_METHODS, gradientTrainer, PROBLEMS, type Trainer } from "@/training/mod.ts";

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
    start: (model, rate, seed) => preconditioned(client, model, rate, seed),
  };
}

function plain(model: Sequential, rate: Rate, method: keyof typeof GRADIENT_METHODS): Trainer {
  const optimizer = GRADIENT_METHODS[method](rate.initial, MOMENTUM);
  return gradientTrainer(model, LOSS, optimizer, (step) => rateAt(rate, step));
}

function preconditioned(
  client: CurvdClient,
  model: Sequential,
  rate: Rate,
  seed: number,
): Trainer {
  const optimizer: SGDOptimizer = train.momentum(rate.initial, MOMENTUM);
  const capture = new ModelCapture(model);
  const preconditioner = new KfacPreconditioner(client, capture.blocks, {
    damping: DAMPING,
    klClip: KL_CLIP,
  });
  return {
    async step({ inputs, targets }, step) {
      const learningRate = rateAt(rate, step);
      const seedOfStep = seed * 2 ** 20 + step;
      const captured = capture.gradients(
        () => LOSS.loss(targets, model.apply(inputs, { training: true }) as Tensor),
        {
          statistics: step % STATISTICS_EVERY === 0
            ? { fisher: "sampled", loss: LOSS, seed: seedOfStep }
            : null,
        },
      );
      if (captured.statistics) {
        await preconditioner.observe(captured.statistics);
        disposeStatistics(captured.statistics);
      }
      if (step % REFRESH_EVERY === 0) await preconditioner.refresh();

      const updates = preconditioner.precondition(captured.gradients, learningRate);
      optimizer.setLearningRate(learningRate);
      optimizer.applyGradients(updates);
      const [loss] = await captured.loss.data();
      dispose([captured.loss, captured.gradients, updates]);
      return { loss };
    },
    dispose() {
      preconditioner.dispose();
      optimizer.dispose();
    },
  };
}
