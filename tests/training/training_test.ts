/** Runs, what they are judged by, and the command line. */
import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { shuffled } from "@/datasets/mod.ts";
import { openEngine } from "@/engine/mod.ts";
import { batchOf, MLP_WIDTHS, multilayerPerceptron } from "@/networks/mod.ts";
import {
  type Examples,
  GRADIENT_METHODS,
  gradientTrainer,
  plotLosses,
  type ProblemName,
  PROBLEMS,
  run,
  score,
  type Task,
  usualSettings,
} from "@/training/mod.ts";
import { settle } from "@/trainer/optimizer/options.ts";
import { SESSION_METHODS } from "@/wire/mod.ts";
import { readOptions } from "../../src/training/options.ts";

await openEngine({ engine: "cpu", blas: "auto" });

/** Two classes: one is bright in its upper half, the other in its lower. */
const IMAGES = {
  count: 256,
  pixels: Uint8Array.from({ length: 256 * 784 }, (_, at) => {
    const isLower = at % 784 >= 392, isOdd = Math.floor(at / 784) % 2 === 1;
    return (isLower === isOdd ? 180 : 20) + at * 7919 % 61;
  }),
  labels: Uint8Array.from({ length: 256 }, (_, at) => at % 2),
  classes: 10,
};
const EXAMPLES: Examples = { count: 256, batchAt: (places) => batchOf(IMAGES, places) };

function task(): Task {
  const judged = EXAMPLES.batchAt(shuffled(256, 0).subarray(0, 100));
  const test = EXAMPLES.batchAt(shuffled(256, 1).subarray(0, 50));
  return { problem: PROBLEMS.mlp, training: EXAMPLES, batchSize: 64, judged, test };
}

const sgd = (rate: number) => (model: tf.Sequential) =>
  gradientTrainer(model, PROBLEMS.mlp.loss, GRADIENT_METHODS.sgd(rate, 0.9), () => rate);

Deno.test("score() of a net without preferences is log 10 and the share of its one answer", () => {
  const model = multilayerPerceptron(MLP_WIDTHS, 1);
  model.setWeights(model.getWeights().map((tensor) => tf.zerosLike(tensor)));
  const { loss, accuracy } = score(PROBLEMS.mlp, model, task().judged);
  const zeros = shuffled(256, 0).subarray(0, 100).filter((at) => IMAGES.labels[at] === 0).length;
  ok(Math.abs(loss - Math.log(10)) < 1e-6);
  ok(Math.abs(accuracy! - zeros / 100) < 1e-6);
});

Deno.test("run() marks every so many steps and at the end, learns, and leaves no tensor", async () => {
  const given = task();
  const before = tf.memory().numTensors;
  const seen: number[] = [];
  // Adam: TensorFlow.js's SGD itself leaves its rate behind, a scalar
  const adam = (model: tf.Sequential) =>
    gradientTrainer(model, PROBLEMS.mlp.loss, GRADIENT_METHODS.adam(0.001), () => 0.001);
  const marks = await run(adam, given, {
    seed: 1,
    steps: 25,
    markEvery: 10,
    onStep: ({ step }, mark) => mark && seen.push(step),
  });
  equal(tf.memory().numTensors, before);
  deepEqual(marks.map(({ step }) => step), [10, 20, 25]);
  deepEqual(seen, [10, 20, 25]);
  ok(marks[2].trainingLoss < 0.1 && marks[2].testAccuracy === 1, JSON.stringify(marks));
  ok(marks[0].seconds > 0 && marks[0].seconds < marks[2].seconds);
});

Deno.test("run() gives the same losses for the same seed alone", async () => {
  const losses = async (seed: number) => {
    const found: number[] = [];
    await run(sgd(0.05), task(), {
      seed,
      steps: 3,
      markEvery: 3,
      onStep: ({ loss }) => found.push(loss),
    });
    return found;
  };
  deepEqual(await losses(1), await losses(1));
  ok((await losses(2))[0] !== (await losses(1))[0]);
});

Deno.test("run() ends early: out of time, done, told to, or no longer finite", async () => {
  const lastStep = async (options: object, rate = 0.05) => {
    const all = { seed: 1, steps: 9, markEvery: 2, onStep: () => {}, ...options };
    return (await run(sgd(rate), task(), all)).at(-1)!;
  };
  equal((await lastStep({ seconds: 1e-9 })).step, 1);
  equal((await lastStep({ isDone: () => true })).step, 2);
  equal((await lastStep({ signal: AbortSignal.abort() })).step, 1);
  ok((await lastStep({ steps: 50 }, 1e30)).step < 50);
});

Deno.test("the usual settings of every problem and method are settings that the optimizer takes", () => {
  for (const [problem, { loss }] of Object.entries(PROBLEMS)) {
    for (const method of SESSION_METHODS) {
      const settings = usualSettings(problem as ProblemName, method);
      equal(settle({ method, loss, ...settings }).method, method);
    }
  }
});

Deno.test("readOptions() has usual values, takes what the help names, refuses the rest by name", () => {
  const usual = readOptions([])!;
  deepEqual([usual.model, usual.method, usual.steps, usual.seconds], [
    "mlp",
    "kfac",
    500,
    Infinity,
  ]);
  equal(usual.out, "dist/training/mlp-kfac-seed1");
  const given = readOptions(
    "--model curves-autoencoder --method adam --seed 3 --seconds 2.5 --rate 0.01 --kl-clip off"
      .split(
        " ",
      ),
  )!;
  deepEqual([given.model, given.method, given.seed, given.seconds], [
    "curves-autoencoder",
    "adam",
    3,
    2.5,
  ]);
  deepEqual([given.settings.learningRate, given.settings.klClip], [0.01, null]);
  equal(readOptions(["--help"]), null);
  for (
    const [line, fault] of [
      ["--model cifar", /Cannot use --model cifar; there are mnist-autoencoder, /],
      ["--method newton", /Cannot use --method newton; there are sgd, adam, kfac, /],
      ["--steps 0", /--steps 0: it must be a whole number ≥ 1/],
      ["--rate -1", /--rate -1|ambiguous/],
      ["--momentum 1", /--momentum 1: it must be in \[0, 1\)/],
      ["--server nowhere", /--server nowhere: it is no URL/],
      ["--speed 9", /--speed/],
    ] as const
  ) {
    throws(() => readOptions(line.split(" ")), (error: Error) => {
      ok(error instanceof RangeError);
      match(error.message, fault);
      return true;
    });
  }
});

Deno.test("plotLosses() draws every curve in either panel, and says what is on the axes", async () => {
  const points = [1, 2, 3].map((step) => ({ step, seconds: step / 2, loss: 1 / step }));
  const svg = await plotLosses("a title", "loss", [
    { name: "Adam", points },
    { name: "K-FAC", points: points.map((point) => ({ ...point, loss: point.loss / 2 })) },
  ]);
  match(svg, /^<svg/);
  for (const text of ["a title", "loss", "step", "seconds", "Adam", "K-FAC"]) {
    ok(svg.includes(`>${text}<`), text);
  }
  const lines = svg.match(
    /<path aria-label="[^"]*" role="graphics-symbol" aria-roledescription="line mark"/g,
  );
  equal(lines?.length, 4);
});

Deno.test("a step's own number does not hide the run's", async () => {
  const seen: number[] = [];
  const start = () => ({
    step: () => Promise.resolve({ loss: 1, step: 77 }),
    dispose: () => {},
  });
  const options = { seed: 1, steps: 2, markEvery: 5 };
  await run(start, task(), { ...options, onStep: ({ step }) => seen.push(step) });
  deepEqual(seen, [1, 2]);
});
