/**
 * The three ways to train that are compared. Each takes TensorFlow.js's own step: K-FAC is SGD with
 * momentum whose gradients curvd has preconditioned.
 *
 * @module
 */
import {
  dispose,
  type NamedTensorMap,
  type Optimizer,
  type Sequential,
  type SGDOptimizer,
  type Tensor,
  type Tensor2D,
  train,
  type Variable,
  variableGrads,
} from "@tensorflow/tfjs";
import {
  captureStatistics,
  type CurvdClient,
  disposeStatistics,
  KfacPreconditioner,
  sampledCrossEntropy,
} from "@/trainer/mod.ts";
import { crossEntropy } from "./network.ts";
import type { Batch } from "./mnist.ts";

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

/** A way to train, about to train one model. */
export interface Trainer {
  /** Moves the model by one batch. */
  step(batch: Batch, step: number): Promise<void>;
  dispose(): void;
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
  start: (model, rate) => plain(model, train.momentum(rate.initial, MOMENTUM), rate),
};

export const adam: Contestant = {
  name: "Adam",
  rates: [0.001, 0.002, 0.005, 0.01, 0.02],
  best: { initial: 0.01, decays: false },
  start: (model, rate) => plain(model, train.adam(rate.initial), rate),
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

function plain(model: Sequential, optimizer: Optimizer, rate: Rate): Trainer {
  return {
    step(batch, step) {
      setRate(optimizer, rateAt(rate, step));
      const gradients = gradientsOf(model, batch);
      optimizer.applyGradients(gradients);
      dispose(gradients);
      return Promise.resolve();
    },
    dispose: () => optimizer.dispose(),
  };
}

function preconditioned(
  client: CurvdClient,
  model: Sequential,
  rate: Rate,
  seed: number,
): Trainer {
  const optimizer: Optimizer = train.momentum(rate.initial, MOMENTUM);
  const preconditioner = new KfacPreconditioner(client, model, {
    damping: DAMPING,
    klClip: KL_CLIP,
  });
  return {
    async step(batch, step) {
      const learningRate = rateAt(rate, step);
      if (step % STATISTICS_EVERY === 0) {
        const draw = seed * 2 ** 20 + step;
        const statistics = captureStatistics(
          model,
          batch.images,
          (logits) => sampledCrossEntropy(logits as Tensor2D, draw),
        );
        await preconditioner.observe(statistics);
        disposeStatistics(statistics);
      }
      if (step % REFRESH_EVERY === 0) await preconditioner.refresh();

      const gradients = gradientsOf(model, batch);
      const updates = preconditioner.precondition(gradients, learningRate);
      setRate(optimizer, learningRate);
      optimizer.applyGradients(updates);
      dispose([gradients, updates]);
    },
    dispose() {
      preconditioner.dispose();
      optimizer.dispose();
    },
  };
}

/** SGD, with or without momentum, has a way in; Adam reads a field that its types call protected. */
function setRate(optimizer: Optimizer, rate: number): void {
  if ("setLearningRate" in optimizer) (optimizer as SGDOptimizer).setLearningRate(rate);
  else (optimizer as unknown as { learningRate: number }).learningRate = rate;
}

function gradientsOf(model: Sequential, { images, labels }: Batch): NamedTensorMap {
  const variables = model.trainableWeights.map((weight) => weight.read() as Variable);
  const { value, grads } = variableGrads(
    () => crossEntropy(labels, model.apply(images, { training: true }) as Tensor),
    variables,
  );
  value.dispose();
  return grads;
}
