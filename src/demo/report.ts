/**
 * What the runs came to: tables at equal steps and at equal seconds, and the steps to SGD's loss.
 *
 * @module
 */
import type { Contestant, Rate } from "./contestants.ts";
import { arrival, finalLoss, type Mark, median, tableOf } from "@/training/mod.ts";

/** A contestant's runs at its best rate, one a seed. */
export interface Result {
  readonly contestant: Contestant;
  readonly rate: Rate;
  readonly runs: (readonly Mark[])[];
}

/** Where along the baseline's run the tables have their rows. */
const FRACTIONS = [1 / 9, 1 / 3, 2 / 3, 1];

/** The report in Markdown. @param baseline whose final loss and seconds are the measure. */
export function report(results: readonly Result[], baseline: Result): string {
  const names = results.map(({ contestant }) => contestant.name);
  const steps = median(baseline.runs.map((marks) => marks.at(-1)!.step));
  const seconds = median(baseline.runs.map((marks) => marks.at(-1)!.seconds));

  const rows = (unit: string, total: number, key: "step" | "seconds") =>
    FRACTIONS.map((fraction) => [
      `${formatted(fraction * total)} ${unit}`,
      ...results.map(({ runs }) =>
        cellOf(runs.map((marks) => lastUntil(marks, key, fraction * total)))
      ),
    ]);
  const header = (title: string) => [title, ...names];
  return [
    "Training loss · test accuracy, medians over the seeds.",
    "",
    tableOf(header("after"), rows("steps", steps, "step")),
    "",
    tableOf(header("within"), rows("s", seconds, "seconds")),
    "",
    tableOf(
      [
        "",
        "learning rate",
        "ms a step",
        `steps to the final loss of ${baseline.contestant.name}`,
        "seconds to it",
      ],
      results.map((result) => summaryOf(result, baseline)),
    ),
  ].join("\n");
}

/**
 * The first mark of each run at which it has the baseline's final loss of the same seed.
 *
 * @returns a mark a seed; undefined where a run never gets there.
 */
export function arrivals({ runs }: Result, baseline: Result): (Mark | undefined)[] {
  return runs.map((marks, seed) => arrival(marks, finalLoss(baseline.runs[seed])));
}

export function rateText({ initial, decays }: Rate): string {
  return decays ? `${initial}, decaying` : `${initial}`;
}

function summaryOf(result: Result, baseline: Result): string[] {
  const { contestant, rate, runs } = result;
  const perStep = median(runs.map((marks) => marks.at(-1)!.seconds / marks.at(-1)!.step * 1000));
  const reached = arrivals(result, baseline);
  const stepsTo = median(reached.map((mark) => mark?.step ?? Infinity));
  const secondsTo = median(reached.map((mark) => mark?.seconds ?? Infinity));
  return [
    contestant.name,
    rateText(rate),
    perStep.toFixed(1),
    Number.isFinite(stepsTo) ? `${stepsTo}` : "not reached",
    Number.isFinite(secondsTo) ? secondsTo.toFixed(1) : "not reached",
  ];
}

/** The last mark within a budget; none before the first. */
function lastUntil(
  marks: readonly Mark[],
  key: "step" | "seconds",
  budget: number,
): Mark | undefined {
  return marks.findLast((mark) => mark[key] <= budget + 1e-9);
}

/** Medians over the seeds; empty where a run had no mark yet. */
function cellOf(marks: readonly (Mark | undefined)[]): string {
  const known = marks.filter((mark) => mark !== undefined);
  if (known.length < marks.length) return "";
  const loss = median(known.map(({ trainingLoss }) => trainingLoss));
  const accuracy = median(known.map(({ testAccuracy }) => testAccuracy!));
  return `${loss.toFixed(4)} · ${(accuracy * 100).toFixed(2)} %`;
}

function formatted(value: number): string {
  return Number.isInteger(value) ? `${value}` : value.toFixed(1);
}
