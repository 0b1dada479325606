/**
 * One training run: a way to train, a problem, a seed.
 *
 * @module
 */
import type { Sequential } from "@tensorflow/tfjs";
import { shuffled } from "@/datasets/mod.ts";
import { type Batch, batchesOf, disposeBatch } from "@/networks/mod.ts";
import { type Examples, type Problem, score } from "./problems.ts";

/** Steps between turns of the event loop, which a step on the CPU alone never lets happen. */
const TURN_EVERY = 10;

/** A way to train, about to train one model. */
export interface Trainer {
  /** Moves the model by one batch. @param step from 0. */
  step(batch: Batch, step: number): Promise<StepFacts>;
  dispose(): void | Promise<void>;
}

/** What a step tells of itself. */
export interface StepFacts {
  /** Of the batch, before the step. */
  readonly loss: number;
  /** Steps since the statistics of the curvature in use were taken; absent without curvature. */
  readonly age?: number;
}

/** What is trained on, and what it is judged by. */
export interface Task {
  readonly problem: Problem;
  readonly training: Examples;
  readonly batchSize: number;
  /** The part of the training examples whose loss is reported. */
  readonly judged: Batch;
  readonly test: Batch;
}

/** How a run stood after a number of steps. */
export interface Mark {
  readonly step: number;
  /** Spent training, the server's work and the way there included; judging is not. */
  readonly seconds: number;
  readonly trainingLoss: number;
  readonly testLoss: number;
  /** Absent where there are no classes. */
  readonly testAccuracy?: number;
}

export interface Step extends StepFacts {
  /** From 1. */
  readonly step: number;
  readonly seconds: number;
}

export interface RunOptions {
  readonly seed: number;
  /** The run ends with whichever of these comes first. */
  readonly steps: number;
  readonly seconds?: number;
  /** Whether it may end already at a mark. */
  readonly isDone?: (mark: Mark) => boolean;
  /** Steps between marks; there is always one at the end. */
  readonly markEvery: number;
  /** Called after every step. */
  readonly onStep: (step: Step, mark: Mark | undefined) => void;
  readonly signal?: AbortSignal;
}

/** Loads a problem's examples. @param judged how many of either kind a mark is made of. */
export async function taskOf(problem: Problem, batchSize: number, judged: number): Promise<Task> {
  const { training, test } = await problem.load();
  const some = ({ count, batchAt }: Examples) => batchAt(shuffled(count, 0).subarray(0, judged));
  return { problem, training, batchSize, judged: some(training), test: some(test) };
}

/**
 * Trains a new network.
 *
 * The seed gives the first weights and the order of the batches, alike for all ways to train.
 *
 * @returns the marks, ascending. A run whose loss is no longer finite ends early, with that mark.
 */
export async function run(
  start: (model: Sequential, seed: number) => Trainer,
  task: Task,
  { seed, steps, seconds: limit = Infinity, isDone, markEvery, onStep, signal }: RunOptions,
): Promise<Mark[]> {
  const { problem, training, batchSize } = task;
  const model = problem.network(seed);
  const trainer = start(model, seed);
  const batches = batchesOf(training.count, batchSize, seed, training.batchAt);
  const marks: Mark[] = [];
  let seconds = 0;
  try {
    for (let step = 1; step <= steps; step++) {
      const begun = performance.now();
      const batch = batches.next().value;
      const facts = await trainer.step(batch, step - 1);
      seconds += (performance.now() - begun) / 1000;
      disposeBatch(batch);

      const isLast = step === steps || seconds >= limit || !Number.isFinite(facts.loss) ||
        signal?.aborted === true;
      const mark = isLast || step % markEvery === 0
        ? markOf(task, model, step, seconds)
        : undefined;
      if (mark) marks.push(mark);
      onStep({ ...facts, step, seconds }, mark);
      if (isLast || (mark && (!Number.isFinite(mark.trainingLoss) || isDone?.(mark)))) break;
      if (step % TURN_EVERY === 0) await eventLoopTurn();
    }
  } finally {
    await trainer.dispose();
    model.dispose();
  }
  return marks;
}

function markOf(task: Task, model: Sequential, step: number, seconds: number): Mark {
  const { loss: trainingLoss } = score(task.problem, model, task.judged);
  const { loss: testLoss, accuracy: testAccuracy } = score(task.problem, model, task.test);
  return { step, seconds, trainingLoss, testLoss, testAccuracy };
}

/** Lets signals and closed connections be noticed. */
function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
