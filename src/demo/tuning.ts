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
import { arrival, bestTrial, finalLoss, type Mark } from "@/training/mod.ts";

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

function outcomeOf(trial: Trial, target?: number): string {
  const reached = arrival(trial.marks, target ?? -Infinity);
  const soon = reached ? `, ${target!.toFixed(4)} after ${reached.step} steps` : "";
  return `loss ${finalLoss(trial.marks).toFixed(4)}${soon}`;
}
