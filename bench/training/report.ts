/**
 * What a study came to: a table of all methods, and the bars that were set beforehand.
 *
 * @module
 */
import { arrival, type Mark, median, tableOf } from "@/training/mod.ts";
import { type BenchProblem, nameOf } from "./contestants.ts";
import type { Outcome, Study } from "./study.ts";

/** A bar: what is measured, its bound, what was found; found null where a run it needs is missing. */
export interface Bar {
  readonly what: string;
  readonly bound: number;
  readonly found: number | null;
}

/** A method in figures, medians over the seeds; Infinity: never in the steps it had. */
export interface Row {
  readonly method: string;
  readonly settings: string;
  readonly msAStep: number;
  readonly trainingLoss: number;
  readonly testLoss: number;
  readonly testAccuracy?: number;
  /** Of a run that has its last mark there. */
  readonly steps: number;
  readonly stepsToSgd: number;
  readonly stepsToAdam: number;
  readonly secondsToSgd: number;
  readonly secondsToAdam: number;
}

export function rowsOf({ outcomes, targets }: Study): Row[] {
  return outcomes.map(({ method, candidate, runs }) => {
    const last = (pick: (mark: Mark) => number) => median(runs.map((marks) => pick(marks.at(-1)!)));
    const to = (target: number, pick: (mark: Mark) => number) =>
      median(runs.map((marks) => {
        const reached = arrival(marks, target);
        return reached ? pick(reached) : Infinity;
      }));
    const hasClasses = runs[0].at(-1)!.testAccuracy !== undefined;
    return {
      method,
      settings: nameOf(candidate),
      msAStep: last(({ seconds, step }) => 1000 * seconds / step),
      trainingLoss: last(({ trainingLoss }) => trainingLoss),
      testLoss: last(({ testLoss }) => testLoss),
      ...(hasClasses ? { testAccuracy: last(({ testAccuracy }) => testAccuracy!) } : {}),
      steps: last(({ step }) => step),
      stepsToSgd: to(targets.sgd, ({ step }) => step),
      stepsToAdam: to(targets.adam, ({ step }) => step),
      secondsToSgd: to(targets.sgd, ({ seconds }) => seconds),
      secondsToAdam: to(targets.adam, ({ seconds }) => seconds),
    };
  });
}

/** The table of a problem, in Markdown. */
export function tableOfStudy(study: Study): string {
  const rows = rowsOf(study);
  const { sgd, adam } = study.targets;
  const hasClasses = rows[0].testAccuracy !== undefined;
  const [ofSgd, ofAdam] = rows;
  const share = (found: number, whole: number, digits: number) =>
    Number.isFinite(found) ? `${found.toFixed(digits)} (${(found / whole).toFixed(2)})` : "never";
  const secondsOf = ({ steps, msAStep }: Row) => steps * msAStep / 1000;
  return tableOf(
    [
      "method",
      "settings",
      "ms a step",
      "loss at the end",
      ...(hasClasses ? ["test right"] : ["test loss"]),
      `steps to SGD's ${sgd.toFixed(4)}`,
      `steps to Adam's ${adam.toFixed(4)}`,
      "seconds to Adam's",
    ],
    rows.map((row) => [
      row.method,
      row.settings,
      row.msAStep.toFixed(0),
      `${row.trainingLoss.toFixed(4)} after ${row.steps}`,
      row.testAccuracy === undefined
        ? row.testLoss.toFixed(4)
        : `${(100 * row.testAccuracy).toFixed(2)} %`,
      share(row.stepsToSgd, ofSgd.steps, 0),
      share(row.stepsToAdam, ofAdam.steps, 0),
      share(row.secondsToAdam, secondsOf(ofAdam), 1),
    ]),
  );
}

/** What was asked of a problem, with what was found. */
export function barsOf(study: Study): Bar[] {
  const rows = rowsOf(study);
  const [sgd, adam, ...others] = rows;
  const row = (method: string) => others.find((each) => each.method === method);
  const least = (values: (number | undefined)[]) =>
    values.some((value) => value !== undefined)
      ? Math.min(...values.map((value) => value ?? Infinity))
      : null;
  const ofSgdSteps = (method: string): Bar["found"] => {
    const found = row(method);
    return found ? found.stepsToSgd / sgd.steps : null;
  };
  const ofAdamSeconds = (methods: readonly (Row | undefined)[]) =>
    least(methods.map((each) => each && each.secondsToAdam / (adam.steps * adam.msAStep / 1000)));
  const bars: Record<BenchProblem, () => Bar[]> = {
    "mnist-autoencoder": () => [
      ...["kfac", "ekfac"].map((method) => ({
        what: `${method}: steps to SGD's final loss, of SGD's steps`,
        bound: 1 / 5,
        found: ofSgdSteps(method),
      })),
      {
        what: "best method with curvature: seconds to Adam's final loss, of Adam's seconds",
        bound: 0.5,
        found: ofAdamSeconds(others),
      },
    ],
    "curves-autoencoder": () => [{
      what: "kfac_corrected or deflation: seconds to Adam's final loss, of Adam's seconds",
      bound: 0.4,
      found: ofAdamSeconds([row("kfac_corrected"), row("deflation")]),
    }],
    "mnist-conv": () => [
      {
        what: "kfac (KFC): steps to SGD's final loss, of SGD's steps",
        bound: 1 / 3,
        found: ofSgdSteps("kfac"),
      },
      {
        what: "kfac (KFC): points of test accuracy below Adam's",
        bound: 0.3,
        found: belowAdam(row("kfac"), adam),
      },
    ],
  };
  return bars[study.problem]();
}

export function lineOf({ what, bound, found }: Bar): string {
  if (found === null) return `not measured: ${what} (≤ ${bound.toFixed(2)})`;
  const verdict = found <= bound ? "holds" : "FAILS";
  const text = Number.isFinite(found) ? found.toFixed(2) : "never";
  return `${verdict}: ${what}: ${text} (≤ ${bound.toFixed(2)})`;
}

function belowAdam(kfac: Row | undefined, adam: Row): number | null {
  if (!kfac) return null;
  const points = 100 * (adam.testAccuracy! - kfac.testAccuracy!);
  return Number(points.toFixed(2)); // one example of 2000 is 0.05; 98.6 − 98.3 is more than 0.3 in binary
}

/** The curves of a study's runs, for a plot. */
export function curvesOf(outcomes: readonly Outcome[]) {
  return outcomes.flatMap(({ method, runs }) =>
    runs.map((marks) => ({
      name: method,
      points: marks.map(({ step, seconds, trainingLoss }) => ({
        step,
        seconds,
        loss: trainingLoss,
      })),
    }))
  );
}
