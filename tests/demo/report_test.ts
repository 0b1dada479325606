/** What the demo makes of its runs. */
import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { barOf, bestTrial, median, tableOf } from "@/training/mod.ts";
import { arrivals, rateText, report } from "../../src/demo/report.ts";
import { type Contestant, HALF_RATE, rateAt } from "../../src/demo/contestants.ts";

/** Runs with these training losses at steps 10, 20, 30 …, a tenth of a second a step. */
function result(name: string, ...losses: number[][]) {
  return {
    contestant: { name } as Contestant,
    rate: { initial: 0.1, decays: false },
    runs: losses.map((run) =>
      run.map((trainingLoss, at) => ({
        step: 10 * (at + 1),
        seconds: at + 1,
        trainingLoss,
        testLoss: trainingLoss,
        testAccuracy: 1 - trainingLoss / 10,
      }))
    ),
  };
}

Deno.test("median() is the middle value, of an even number the mean of the two", () => {
  equal(median([3, 1, 2]), 2);
  equal(median([4, 1, 3, 2]), 2.5);
  equal(median([Infinity, 1, Infinity]), Infinity);
});

Deno.test("arrivals() are the first marks at the baseline's final loss of the same seed", () => {
  const baseline = result("SGD", [3, 2, 1], [3, 1, 0.5]);
  const other = result("K-FAC", [2, 0.9, 0.8], [0.9, 0.8, 0.7]);
  deepEqual(arrivals(other, baseline).map((mark) => mark?.step), [20, undefined]);
  deepEqual(arrivals(baseline, baseline).map((mark) => mark?.step), [30, 30]);
});

Deno.test("report() puts losses side by side at equal steps and at equal seconds", () => {
  const baseline = result("SGD", [9, 8, 7, 6, 5, 4, 3, 2, 1]);
  const slow = result("slow", [5, 4, 3, 2, 1, 0.9, 0.8, 0.7, 0.6]);
  for (const mark of slow.runs[0]) mark.seconds *= 2;
  const text = report([baseline, slow], baseline);
  match(text, /\| 30 steps +\| 7\.0000 · 30\.00 % \| 3\.0000 · 70\.00 % \|/);
  match(text, /\| 9 s +\| 1\.0000 · 90\.00 % \| 2\.0000 · 80\.00 % \|/);
  match(text, /\| 1 s +\| 9\.0000 · 10\.00 % \| +\|/);
  match(text, /\| slow +\| 0\.1 +\| 200\.0 +\| 50 +\| 10\.0 +\|/);
});

Deno.test("report() says where a contestant never gets to the baseline's loss", () => {
  const baseline = result("SGD", [3, 2, 1]);
  match(report([baseline, result("Adam", [9, 9, 9])], baseline), /Adam .*\| not reached +\| not/);
});

Deno.test("tableOf() lines its columns up", () => {
  equal(
    tableOf(["a", "long"], [["1.25", "x"]]),
    "| a    | long |\n| ---- | ---- |\n| 1.25 | x    |",
  );
});

Deno.test("barOf() shows the share done and the time left at this speed", () => {
  equal(barOf(0.25, 30), `${"━".repeat(6)}${"─".repeat(18)}  25 % 1:30 left`);
  equal(barOf(1, 30), `${"━".repeat(24)} 100 % 0:00 left`);
});

Deno.test("a decaying rate starts where it says and has halved after HALF_RATE steps", () => {
  const rate = { initial: 0.5, decays: true };
  deepEqual([rateAt(rate, 0), rateAt(rate, HALF_RATE)], [0.5, 0.25]);
  equal(rateAt({ initial: 0.5, decays: false }, 1000), 0.5);
  equal(rateText(rate), "0.5, decaying");
});

Deno.test("bestTrial() takes the soonest at the target, else the least final loss, never NaN", () => {
  const trials = [[5, 2, 0.1], [1, 3, 2], [4, 0.9, 0.8], [3, NaN]].map((losses, initial) => ({
    rate: { initial, decays: false },
    marks: result("one", losses).runs[0],
  }));
  const best = (target?: number) => bestTrial(trials, target)?.rate.initial;
  deepEqual([best(), best(2.5), best(0.95), best(0.01)], [0, 1, 2, 0]);
  equal(bestTrial(trials.slice(3)), undefined);
});
