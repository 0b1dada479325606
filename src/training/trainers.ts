/**
 * Ways to train a problem: TensorFlow.js's own optimizers, and those with curvature from a server.
 *
 * @module
 */
import {
  dispose,
  type LayersModel,
  type Optimizer,
  type Scalar,
  type SGDOptimizer,
  type Tensor,
  train,
  type Variable,
} from "@tensorflow/tfjs";
import {
  CurvatureOptimizer,
  type CurvatureOptions,
  type CurvdClient,
  type FisherLoss,
  type Schedule,
} from "@/trainer/mod.ts";
import type { Trainer } from "./run.ts";

/** Plain gradients: what curvature is compared with. */
export const GRADIENT_METHODS = {
  sgd: (rate: number, momentum: number) => train.momentum(rate, momentum),
  adam: (rate: number) => train.adam(rate),
} satisfies Record<string, (rate: number, momentum: number) => Optimizer>;

export type GradientMethod = keyof typeof GRADIENT_METHODS;

export function isGradientMethod(method: string): method is GradientMethod {
  return method in GRADIENT_METHODS;
}

/** Trains by an optimizer of TensorFlow.js, whose rate is set at each step. */
export function gradientTrainer(
  model: LayersModel,
  { loss }: FisherLoss,
  optimizer: Optimizer,
  rateAt: Schedule,
): Trainer {
  const variables = model.trainableWeights.map((weight) => weight.read() as Variable);
  return {
    async step({ inputs, targets }, step) {
      setRate(optimizer, rateAt(step));
      const cost = optimizer.minimize(
        () => loss(targets, model.apply(inputs, { training: true }) as Tensor),
        true,
        variables,
      ) as Scalar;
      const [value] = await cost.data();
      dispose(cost);
      return { loss: value };
    },
    dispose: () => optimizer.dispose(),
  };
}

/** Trains by an optimizer with curvature; its session ends with it. */
export function curvatureTrainer(
  model: LayersModel,
  loss: FisherLoss,
  client: CurvdClient,
  options: Omit<CurvatureOptions, "loss">,
): Trainer {
  const optimizer = new CurvatureOptimizer(model, client, { ...options, loss });
  return {
    step: ({ inputs, targets }) => optimizer.step(inputs, targets),
    dispose: () => optimizer.close(),
  };
}

/** SGD, with or without momentum, has a way in; Adam reads a field that its types call protected. */
function setRate(optimizer: Optimizer, rate: number): void {
  if ("setLearningRate" in optimizer) (optimizer as SGDOptimizer).setLearningRate(rate);
  else (optimizer as unknown as { learningRate: number }).learningRate = rate;
}
