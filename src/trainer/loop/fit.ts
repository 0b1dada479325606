/**
 * A training loop like `model.fit`, for optimizers that wait for a server and for those that do not.
 *
 * @module
 */
import {
  dispose,
  type LayersModel,
  type Logs,
  type Optimizer,
  type Scalar,
  type Tensor,
  tidy,
  type Variable,
} from "@tensorflow/tfjs";
import { eventLoopTurn } from "../event_loop.ts";
import type { FisherLoss } from "../fisher/mod.ts";
import { CurvatureOptimizer, type LossFunction, type StepReport } from "../optimizer/mod.ts";
import { type Batch, batchesOf, disposeBatch, type TrainingData } from "./batches.ts";
import { CallbackList, type Callbacks } from "./callbacks.ts";

/** A figure of a batch's outputs, such as an accuracy. */
export type Metric = (outputs: Tensor, targets: Tensor) => Scalar;

export interface FitOptions {
  /** @default 1 */
  readonly epochs?: number;
  /** Of whole tensors; data sets bring their own. @default 32 */
  readonly batchSize?: number;
  /** Steps at most. */
  readonly steps?: number;
  /** Seconds of training at most; validation and callbacks do not count. */
  readonly seconds?: number;
  /** Seed of the order of whole tensors; null keeps theirs. @default 0 */
  readonly shuffle?: number | null;
  /** Judged at the end of each epoch, as `val_loss` and `val_<metric>`. */
  readonly validation?: Batch;
  /** Of the validation data. */
  readonly metrics?: Readonly<Record<string, Metric>>;
  readonly callbacks?: Callbacks;
  /** Needed where the optimizer is TensorFlow.js's own. @default that of the CurvatureOptimizer */
  readonly loss?: FisherLoss | LossFunction;
  readonly signal?: AbortSignal;
}

export interface History {
  readonly epoch: number[];
  /** Of each epoch: `loss` is the mean over its batches. */
  readonly history: Record<string, number[]>;
  readonly steps: number;
  /** Spent training. */
  readonly seconds: number;
}

/** Between turns of the event loop. */
const TURN_MS = 50;

/**
 * Trains until the epochs, steps or seconds are over, a callback sets `stopTraining` of the model it was given (as
 * `tf.callbacks.earlyStopping` does), or the signal is aborted.
 *
 * @throws the signal's reason; whatever a step throws.
 */
export async function fit(
  model: LayersModel,
  optimizer: CurvatureOptimizer | Optimizer,
  data: TrainingData,
  options: FitOptions = {},
): Promise<History> {
  const { epochs = 1, batchSize = 32, steps = Infinity, seconds = Infinity, signal } = options;
  const { shuffle = 0, validation } = options;
  const loss = options.loss ?? lossOf(optimizer);
  const train = stepper(model, optimizer, loss);
  const callbacks = new CallbackList(options.callbacks, model, { epochs, batchSize });
  const history: Record<string, number[]> = {};
  const epoch: number[] = [];
  let [taken, spentMs, turned] = [0, 0, performance.now()];
  const isOver = () => taken >= steps || spentMs >= 1000 * seconds || callbacks.isStopped;

  await callbacks.call("onTrainBegin", {});
  for (let at = 0; at < epochs && !isOver(); at++) {
    await callbacks.call("onEpochBegin", at, {});
    let [total, batches] = [0, 0];
    for await (const batch of batchesOf(data, at, { batchSize, shuffle })) {
      try {
        signal?.throwIfAborted();
        await callbacks.call("onBatchBegin", batches, { batch: batches, size: batchSizeOf(batch) });
        const begun = performance.now();
        const report = await train(batch);
        spentMs += performance.now() - begun;
        taken++;
        total += report.loss;
        await callbacks.call("onBatchEnd", batches, logsOf(report, batches++, batch));
      } finally {
        disposeBatch(batch);
      }
      if (performance.now() - turned > TURN_MS) {
        await eventLoopTurn();
        turned = performance.now();
      }
      if (isOver()) break;
    }
    const logs: Logs = { loss: total / batches };
    if (validation) Object.assign(logs, await judge(model, loss, validation, options.metrics));
    epoch.push(at);
    for (const [name, value] of Object.entries(logs)) (history[name] ??= []).push(value);
    await callbacks.call("onEpochEnd", at, logs);
  }
  await callbacks.call("onTrainEnd", {});
  return { epoch, history, steps: taken, seconds: spentMs / 1000 };
}

/** Loss and metrics of a model on data that it is not trained on. */
export async function judge(
  model: LayersModel,
  loss: FisherLoss | LossFunction,
  { inputs, targets }: Batch,
  metrics: Readonly<Record<string, Metric>> = {},
): Promise<Record<string, number>> {
  const figures = tidy(() => {
    const outputs = model.apply(inputs) as Tensor;
    const named = Object.entries(metrics)
      .map(([name, metric]) => [`val_${name}`, metric(outputs, targets)] as const);
    return { val_loss: valueOf(loss, targets, outputs), ...Object.fromEntries(named) };
  });
  const read = await Promise.all(
    Object.entries(figures).map(async ([name, figure]) =>
      [name, (await figure.data())[0]] as const
    ),
  );
  dispose(figures);
  return Object.fromEntries(read);
}

/** One step by either kind of optimizer. */
function stepper(
  model: LayersModel,
  optimizer: CurvatureOptimizer | Optimizer,
  loss: FisherLoss | LossFunction,
): (batch: Batch) => Promise<Pick<StepReport, "loss"> & Partial<StepReport>> {
  if (optimizer instanceof CurvatureOptimizer) {
    return ({ inputs, targets }) => optimizer.step(inputs, targets);
  }
  const variables = model.trainableWeights.map((weight) => weight.read() as Variable);
  return async ({ inputs, targets }) => {
    const cost = optimizer.minimize(
      () => valueOf(loss, targets, model.apply(inputs, { training: true }) as Tensor),
      true,
      variables,
    )!;
    const [value] = await cost.data();
    cost.dispose();
    return { loss: value };
  };
}

function valueOf(loss: FisherLoss | LossFunction, targets: Tensor, outputs: Tensor): Scalar {
  return typeof loss === "function" ? loss(targets, outputs) : loss.loss(targets, outputs);
}

function lossOf(optimizer: CurvatureOptimizer | Optimizer): FisherLoss | LossFunction {
  const loss = optimizer instanceof CurvatureOptimizer ? optimizer.settings.loss : null;
  if (loss === null) throw new RangeError("Cannot fit without a loss: give one in the options");
  return loss;
}

function batchSizeOf({ inputs }: Batch): number {
  return inputs.shape[0];
}

/** The numbers of a report. */
function logsOf(report: Partial<StepReport>, at: number, batch: Batch): Logs {
  const numbers = Object.entries(report).filter(([, value]) => typeof value === "number");
  return { ...Object.fromEntries(numbers) as Logs, batch: at, size: batchSizeOf(batch) };
}
