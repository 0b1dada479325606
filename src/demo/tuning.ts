/**
 * The choice of a learning rate, by one and the same rule for every contestant.
 *
 * The baseline takes the rate of the least final loss; that loss is then the target, and the others
 * take the rate that gets there in the fewest steps, which is what they are compared by.
 *
 * @module
 */
import type { Contestant, Rate } from "./contestants.ts";
import { rateText } from "./report.ts";
import type { Mark } from "@/training/mod.ts";

/** What came of a rate. */
export interface Trial {
  readonly rate: Rate;
  readonly marks: readonly Mark[];
}

/**
 * Tries every rate of a contestant, constant and decaying, and prints what comes of each.
 *
 * @param train makes a run.
 * @returns the best trial by {@linkcode bestTrial}.
 * @throws Error where every rate diverges.
 */
export async function tune(
  { name, rates }: Contestant,
  train: (rate: Rate) => Promise<readonly Mark[]>,
  target?: number,
): Promise<Trial> {
  const trials: Trial[] = [];
  for (const initial of rates) {
    for (const decays of [false, true]) {
      const trial = { rate: { initial, decays }, marks: await train({ initial, decays }) };
      console.log(`${name}, rate ${rateText(trial.rate)}: ${outcomeOf(trial, target)}`);
      trials.push(trial);
    }
  }
  const best = bestTrial(trials, target);
  if (best === undefined) throw new Error(`${name} diverges at every rate`);
  return best;
}

/**
 * The trial that reaches the target in the fewest steps; among equals, where none does or where
 * there is no target, the one of the least final loss. None where all diverge.
 */
export function bestTrial(trials: readonly Trial[], target?: number): Trial | undefined {
  return trials.filter((trial) => Number.isFinite(finalLoss(trial)))
    .sort((a, b) => {
      const [soonest, other] = [stepsTo(a, target), stepsTo(b, target)];
      return soonest === other ? finalLoss(a) - finalLoss(b) : soonest - other;
    })[0];
}

export function finalLoss({ marks }: Trial): number {
  return marks.at(-1)!.trainingLoss;
}

function stepsTo({ marks }: Trial, target = -Infinity): number {
  const reached = marks.find(({ trainingLoss }) => trainingLoss <= target);
  return reached?.step ?? Number.MAX_SAFE_INTEGER;
}

function outcomeOf(trial: Trial, target?: number): string {
  const reached = trial.marks.find(({ trainingLoss }) => trainingLoss <= (target ?? -Infinity));
  const arrival = reached ? `, ${target!.toFixed(4)} after ${reached.step} steps` : "";
  return `loss ${finalLoss(trial).toFixed(4)}${arrival}`;
}
