/**
 * The study of one problem: every method tuned on a seed of its own, then run on the seeds that count.
 *
 * Baselines keep the try of the least training loss and run all their steps. Their final losses are the
 * targets: the others keep the try that has the better one's tuning loss in the fewest steps, and run
 * until they have the lower target.
 *
 * @module
 */
import type { CurvdClient } from "@/trainer/mod.ts";
import {
  bestTrial,
  finalLoss,
  type Mark,
  median,
  PROBLEMS,
  Progress,
  run,
  type Task,
  taskOf,
} from "@/training/mod.ts";
import {
  BASELINES,
  BATCH_SIZE,
  type BenchProblem,
  type Candidate,
  candidatesOf,
  fixedSettings,
  type Method,
  nameOf,
  trainerOf,
} from "./contestants.ts";
import type { Ledger, RunKey } from "./ledger.ts";
import type { Options } from "./options.ts";

export interface Trial {
  readonly candidate: Candidate;
  readonly marks: readonly Mark[];
}

/** A method's tries, the one that was kept, and its runs, one a seed. */
export interface Outcome {
  readonly method: Method;
  readonly trials: readonly Trial[];
  readonly candidate: Candidate;
  readonly runs: (readonly Mark[])[];
}

export interface Study {
  readonly problem: BenchProblem;
  /** Steps of a whole run, and of a try. */
  readonly steps: number;
  readonly tuningSteps: number;
  /** Median final training loss of each baseline. */
  readonly targets: Readonly<Record<typeof BASELINES[number], number>>;
  /** Baselines first. */
  readonly outcomes: readonly Outcome[];
}

/** There was no time for the next run; the ledger has those before. */
export class OutOfTime extends Error {
  override readonly name = "OutOfTime";
}

const TUNING_SEED = 0;
/** Examples of either kind that a mark is made of. */
const JUDGED = 2000;
/** Marks of a run, and of a try: judging them takes as long as training does, and is not counted. */
const MARKS = 120, TRIAL_MARKS = 30;

/** @throws OutOfTime after a run that ends beyond the time there is. */
export async function study(
  problem: BenchProblem,
  options: Options,
  client: CurvdClient,
  ledger: Ledger,
  endsAt: number,
): Promise<Study> {
  const { seeds } = options;
  const task = await taskOf(PROBLEMS[problem], BATCH_SIZE, JUDGED);
  const stepsAnEpoch = Math.floor(task.training.count / BATCH_SIZE);
  const steps = Math.max(2, Math.round(options.epochs[problem] * stepsAnEpoch));
  const tuningSteps = Math.max(2, Math.round(options.tuningEpochs[problem] * stepsAnEpoch));
  const trained = (method: Method, candidate: Candidate, seed: number, target?: number) => {
    const [total, marks] = seed === TUNING_SEED ? [tuningSteps, TRIAL_MARKS] : [steps, MARKS];
    const markEvery = Math.max(1, Math.round(total / marks));
    const settings = fixedSettings(problem, method);
    const key = {
      problem,
      method,
      candidate,
      settings,
      seed,
      steps: total,
      markEvery,
      judged: JUDGED,
    };
    return runOf(key, task, client, ledger, endsAt, target);
  };
  const tuned = async (method: Method, target?: number): Promise<Outcome> => {
    const trials: Trial[] = [];
    for (const candidate of candidatesOf(problem, method).slice(0, options.tries)) {
      trials.push({ candidate, marks: await trained(method, candidate, TUNING_SEED, target) });
    }
    const best = bestTrial(trials, target);
    if (best === undefined) throw new Error(`${method} diverges in every try`);
    return { method, trials, candidate: best.candidate, runs: [] };
  };

  const baselines: Outcome[] = [];
  for (const method of BASELINES) baselines.push(await tuned(method));
  // in turns, so that a machine that slows down does so for all
  for (const seed of seeds) {
    for (const { method, candidate, runs } of baselines) {
      runs.push(await trained(method, candidate, seed));
    }
  }
  const [sgd, adam] = baselines.map(({ runs }) => median(runs.map(finalLoss)));
  const tuningTarget = Math.min(
    ...baselines.map(({ trials }) => finalLoss(bestTrial(trials)!.marks)),
  );

  const others: Outcome[] = [];
  for (const method of options.methods[problem]) others.push(await tuned(method, tuningTarget));
  for (const seed of seeds) {
    for (const { method, candidate, runs } of others) {
      runs.push(await trained(method, candidate, seed, Math.min(sgd, adam)));
    }
  }
  return {
    problem,
    steps,
    tuningSteps,
    targets: { sgd, adam },
    outcomes: [...baselines, ...others],
  };
}

/** A run from the ledger, or made now; it ends early at its target. */
async function runOf(
  key: RunKey,
  task: Task,
  client: CurvdClient,
  ledger: Ledger,
  endsAt: number,
  target?: number,
): Promise<readonly Mark[]> {
  const known = ledger.find(key, target);
  if (known) return known;
  if (performance.now() > endsAt) throw new OutOfTime();
  const { problem, method, candidate, seed, steps, markEvery } = key;
  const name = `${problem}, ${method}, ${nameOf(candidate)}, seed ${seed}`;
  const progress = new Progress(steps);
  const marks = await run(
    (model) => trainerOf(problem, method, candidate, client, model, seed),
    task,
    {
      seed,
      steps,
      markEvery,
      isDone: ({ trainingLoss }) => target !== undefined && trainingLoss <= target,
      onStep: ({ step, loss }) => progress.moveTo(step, `${name}, loss ${loss.toFixed(4)}`),
    },
  );
  progress.end();
  const { step, seconds, trainingLoss } = marks.at(-1)!;
  console.log(
    `${name}: loss ${trainingLoss.toFixed(5)} after ${step} steps, ${seconds.toFixed(1)} s`,
  );
  ledger.add(key, marks);
  return marks;
}
