/**
 * The comparison: the best learning rate of each contestant, then its runs, then the report.
 *
 * @module
 */
import { finalLoss, type Mark, median, PROBLEMS, Progress, run, taskOf } from "@/training/mod.ts";
import type { Contestant, Rate } from "./contestants.ts";
import { arrivals, rateText, report, type Result } from "./report.ts";
import { tune } from "./tuning.ts";

const BATCH_SIZE = 512;

/** The seed that learning rates are chosen by, and those of the runs that count. */
const TUNING_SEED = 0;
const SEEDS = [1, 2, 3];
const EPOCHS = 5;
const QUICK_EPOCHS = 2;
/** Marks an epoch: 117 steps are 9 times 13. */
const MARKS_AN_EPOCH = 9;
/** While tuning, a mark is a third as frequent. */
const TUNING_MARKS = 3;
/** Training digits whose loss is reported, and as many test digits; a fifth of them when quick. */
const JUDGED = 10_000;

/**
 * Compares contestants; the first is the baseline.
 *
 * @returns the report, in Markdown.
 */
export async function compare(
  contestants: readonly Contestant[],
  { isQuick }: { isQuick: boolean },
): Promise<string> {
  const task = await taskOf(PROBLEMS.mlp, BATCH_SIZE, isQuick ? JUDGED / 5 : JUDGED);
  const stepsAnEpoch = Math.floor(task.training.count / BATCH_SIZE);
  const steps = stepsAnEpoch * (isQuick ? QUICK_EPOCHS : EPOCHS);
  const markEvery = stepsAnEpoch / MARKS_AN_EPOCH;
  const seeds = isQuick ? SEEDS.slice(0, 1) : SEEDS;
  const tries = isQuick ? 0 : 2 * contestants[0].rates.length;
  const progress = new Progress(contestants.length * (tries + seeds.length) * steps);

  const train = async (contestant: Contestant, rate: Rate, seed: number, every: number) => {
    let latest: Mark | undefined;
    return await run((model) => contestant.start(model, rate, seed), task, {
      seed,
      steps,
      markEvery: every,
      onStep: (_, mark) => {
        latest = mark ?? latest;
        const loss = latest ? `, loss ${latest.trainingLoss.toFixed(4)}` : "";
        progress.advance(`${contestant.name}, rate ${rateText(rate)}, seed ${seed}${loss}`);
      },
    });
  };

  const results: Result[] = [];
  let target: number | undefined;
  for (const contestant of contestants) {
    if (isQuick) results.push({ contestant, rate: contestant.best, runs: [] });
    else {
      const every = target === undefined ? steps : TUNING_MARKS * markEvery;
      const best = await tune(
        contestant,
        (rate) => train(contestant, rate, TUNING_SEED, every),
        target,
      );
      target ??= finalLoss(best.marks);
      results.push({ contestant, rate: best.rate, runs: [] });
    }
  }
  // In turns, so that a machine that slows down does so for all.
  for (const seed of seeds) {
    for (const { contestant, rate, runs } of results) {
      runs.push(await train(contestant, rate, seed, markEvery));
    }
  }
  progress.end();
  return [report(results, results[0]), "", verdict(results, steps)].join("\n");
}

/** How soon the others have the baseline's final training loss, in a sentence each. */
function verdict([baseline, ...others]: readonly Result[], steps: number): string {
  return others.map((result) => {
    const at = median(arrivals(result, baseline).map((mark) => mark?.step ?? Infinity));
    const [name, rival] = [result.contestant.name, baseline.contestant.name];
    return Number.isFinite(at)
      ? `${name} has the final training loss of ${rival} after ${at} steps, ` +
        `${(at / steps).toFixed(2)} of its ${steps}.`
      : `${name} never has the final training loss of ${rival}.`;
  }).join("\n");
}
