import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import fc from "fast-check";
import { Cadence } from "@/trainer/optimizer/cadence.ts";

const STEPS = 60;

/** The steps of statistics, one after the other, and each one's refresh. */
function walked(
  every: number,
  batchesPerRefresh: number,
  warmup = { steps: 0, statisticsEvery: 1 },
) {
  const statistics: number[] = [];
  for (let step = 0; step < warmup.steps; step += warmup.statisticsEvery) statistics.push(step);
  for (let step = warmup.steps; step < 4 * STEPS; step += every) statistics.push(step);
  return { statistics, refreshes: statistics.filter((_, at) => at % batchesPerRefresh === 0) };
}

const count = (max: number) => fc.integer({ min: 1, max });

Deno.test("statistics and refreshes come as a walk through the steps has them", () => {
  fc.assert(fc.property(
    count(7),
    count(4),
    fc.option(fc.record({ steps: count(20), statisticsEvery: count(5) }), { nil: undefined }),
    fc.nat(STEPS),
    fc.nat(5),
    (every, batches, warmup, step, before) => {
      const cadence = new Cadence(every, every * batches, warmup);
      const { statistics, refreshes } = walked(every, batches, warmup);
      const last = statistics.findLastIndex((each) => each <= step);
      equal(cadence.isDue(step), statistics.includes(step));
      equal(cadence.statisticsBefore(step, before), statistics[Math.max(0, last - before)]);
      equal(cadence.nextRefresh(step), refreshes.find((each) => each > step));
    },
  ));
});

Deno.test("a warm-up ends with statistics, and the usual steps are counted from there", () => {
  const cadence = new Cadence(10, 20, { steps: 5, statisticsEvery: 2 });
  const due = Array.from({ length: 40 }, (_, step) => step).filter((step) => cadence.isDue(step));
  deepEqual(due, [0, 2, 4, 5, 15, 25, 35]);
  deepEqual([0, 4, 5, 14, 15].map((step) => cadence.nextRefresh(step)), [4, 15, 15, 15, 35]);
});
