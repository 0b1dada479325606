/**
 * One training run: a contestant, a rate, a seed.
 *
 * @module
 */
import { dispose } from "@tensorflow/tfjs";
import type { Contestant, Rate } from "./contestants.ts";
import { type Batch, batchOf, type Digits } from "./mnist.ts";
import { network, type Score, score } from "./network.ts";
import { shuffled } from "./shuffle.ts";

export const BATCH_SIZE = 512;

/** Steps between turns of the event loop, which a step on the CPU alone never lets happen. */
const TURN_EVERY = 10;

/** What is trained on, and what it is judged by. */
export interface Task {
  readonly training: Digits;
  /** The part of the training digits whose loss is reported. */
  readonly judged: Batch;
  readonly test: Batch;
  readonly steps: number;
}

/** How a run stood after a number of steps. */
export interface Mark {
  readonly step: number;
  /** Spent training, the server's work and the way there included; judging is not. */
  readonly seconds: number;
  readonly trainingLoss: number;
  readonly testAccuracy: number;
}

export interface RunOptions {
  readonly rate: Rate;
  readonly seed: number;
  /** Steps between marks; there is always one at the end. */
  readonly markEvery: number;
  /** Called after every step. */
  readonly onStep: (mark: Mark | undefined) => void;
}

/**
 * Trains a new network.
 *
 * The seed gives the first weights and the order of the batches, alike for all contestants.
 *
 * @returns the marks, ascending. A run whose loss is no longer finite ends early, with that mark.
 */
export async function run(
  contestant: Contestant,
  task: Task,
  { rate, seed, markEvery, onStep }: RunOptions,
): Promise<Mark[]> {
  const model = network(seed);
  const trainer = contestant.start(model, rate, seed);
  const batches = batchesOf(task.training, seed);
  const marks: Mark[] = [];
  let seconds = 0;
  for (let step = 1; step <= task.steps; step++) {
    const begun = performance.now();
    const batch = batches.next().value;
    await trainer.step(batch, step - 1);
    seconds += (performance.now() - begun) / 1000;
    dispose([batch.images, batch.labels]);

    const isMarked = step % markEvery === 0 || step === task.steps;
    if (isMarked) {
      marks.push(markOf(step, seconds, score(model, task.judged), score(model, task.test)));
    }
    onStep(isMarked ? marks.at(-1) : undefined);
    if (isMarked && !Number.isFinite(marks.at(-1)!.trainingLoss)) break;
    if (step % TURN_EVERY === 0) await eventLoopTurn();
  }
  trainer.dispose();
  model.dispose();
  return marks;
}

function markOf(step: number, seconds: number, judged: Score, test: Score): Mark {
  return { step, seconds, trainingLoss: judged.loss, testAccuracy: test.accuracy };
}

/** Lets signals and closed connections be noticed. */
function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** Whole batches without end, in a new order each epoch. */
function* batchesOf(digits: Digits, seed: number): Generator<Batch, never> {
  for (let epoch = 0;; epoch++) {
    const order = shuffled(digits.count, seed * 1000 + epoch);
    for (let at = 0; at + BATCH_SIZE <= order.length; at += BATCH_SIZE) {
      yield batchOf(digits, order.subarray(at, at + BATCH_SIZE));
    }
  }
}
