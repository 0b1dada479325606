/** What bench:training makes of its runs, and how it goes on after a stop. */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import type { Mark } from "@/training/mod.ts";
import { candidatesOf, USUAL_METHODS } from "../../bench/training/contestants.ts";
import { Ledger, type RunKey } from "../../bench/training/ledger.ts";
import { barsOf, lineOf, rowsOf, tableOfStudy } from "../../bench/training/report.ts";
import type { Outcome, Study } from "../../bench/training/study.ts";

/** Marks at steps 10, 20, 30 …, so many seconds a step. */
function marksOf(losses: readonly number[], secondsAStep: number): Mark[] {
  return losses.map((loss, at) => ({
    step: 10 * (at + 1),
    seconds: 10 * (at + 1) * secondsAStep,
    trainingLoss: loss,
    testLoss: loss + 0.01,
    testAccuracy: 1 - loss / 10,
  }));
}

function outcome(method: Outcome["method"], secondsAStep: number, ...runs: number[][]): Outcome {
  const marks = runs.map((losses) => marksOf(losses, secondsAStep));
  return { method, trials: [], candidate: { rate: 0.1, momentum: 0.9 }, runs: marks };
}

const TEN = [0.9, 0.8, 0.7, 0.6, 0.55, 0.5, 0.45, 0.4, 0.35, 0.3];

function studyOf(problem: Study["problem"], ...others: Outcome[]): Study {
  return {
    problem,
    steps: 100,
    tuningSteps: 20,
    targets: { sgd: 0.3, adam: 0.2 },
    outcomes: [outcome("sgd", 1, TEN), outcome("adam", 2, [...TEN.slice(0, 9), 0.2]), ...others],
  };
}

Deno.test("rows are medians over the seeds, and never where most seeds never arrive", () => {
  const kfac = outcome("kfac", 3, [0.5, 0.3, 0.2], [0.4, 0.2], [0.9, 0.8, 0.7]);
  const row = rowsOf(studyOf("mnist-conv", kfac)).at(-1)!;
  deepEqual([row.stepsToSgd, row.stepsToAdam, row.secondsToAdam], [20, 30, 90]);
  const never = rowsOf(studyOf("mnist-conv", outcome("kfac", 3, TEN, TEN, [0.1]))).at(-1)!;
  equal(never.stepsToAdam, Infinity);
});

Deno.test("bars divide by the baseline's whole run, hold up to their bound, and say what is missing", () => {
  const at = (...found: Outcome[]) => barsOf(studyOf("mnist-autoencoder", ...found));
  const [kfac, ekfac, seconds] = at(
    outcome("kfac", 2, [0.5, 0.3, 0.25]),
    outcome("kfac_corrected", 4, [0.1]),
  );
  deepEqual([kfac.found, ekfac.found, seconds.found], [0.2, null, 40 / 200]);
  deepEqual([kfac, ekfac, seconds].map(lineOf).map((line) => line.split(":")[0]), [
    "holds",
    "not measured",
    "holds",
  ]);
  match(lineOf(at(outcome("kfac", 2, TEN.slice(0, 5)))[0]), /^FAILS: .*: never/);
  const [, accuracy] = barsOf(studyOf("mnist-conv", outcome("kfac", 1, [0.5, 0.3, 0.25])));
  ok(Math.abs(accuracy.found! - 100 * ((1 - 0.02) - (1 - 0.025))) < 1e-9);
});

Deno.test("the table has every method, also one that never arrives", () => {
  const table = tableOfStudy(studyOf("curves-autoencoder", outcome("kfac", 2, [0.6, 0.5])));
  match(table, /^\| kfac .*\| never .*\| never .*\| never +\|$/m);
  match(table, /^\| sgd .*\| 100 \(1\.00\) /m);
});

Deno.test("every method of a problem has as many tries, all different", () => {
  for (const [problem, methods] of Object.entries(USUAL_METHODS)) {
    for (const method of ["sgd", "adam", ...methods] as const) {
      const tries = candidatesOf(problem as Study["problem"], method).map((each) =>
        JSON.stringify(each)
      );
      equal(new Set(tries).size, 5, `${problem} ${method}`);
    }
  }
});

Deno.test("a ledger gives back whole runs alone, after a restart and a line cut off too", async () => {
  const path = await Deno.makeTempFile();
  const file = new URL(`file://${path}`);
  const key: RunKey = {
    problem: "mnist-conv",
    method: "kfac",
    candidate: { rate: 0.1, momentum: 0, damping: 0.01 },
    settings: {},
    seed: 1,
    steps: 100,
    markEvery: 10,
    judged: 5,
  };
  try {
    new Ledger(file).add(key, marksOf([0.5, 0.3], 1)); // ended early, at a target of 0.3
    await Deno.writeTextFile(path, '{"key": {"prob', { append: true });
    const ledger = new Ledger(file);
    equal(ledger.find(key, 0.3)?.length, 2);
    equal(ledger.find(key, 0.2), undefined);
    equal(ledger.find(key), undefined);
    equal(ledger.find({ ...key, seed: 2 }, 0.3), undefined);
    equal(ledger.find({ ...key, settings: { klClip: 1 } }, 0.3), undefined);
    const whole = { ...key, steps: 20 };
    ledger.add(whole, marksOf([0.5, 0.4], 1));
    equal(ledger.find(whole)?.length, 2);
  } finally {
    await Deno.remove(path);
  }
});
