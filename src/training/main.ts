/**
 * `deno task train`: one run, watched on the terminal and kept as a log and a plot.
 *
 * @module
 */
import type { Sequential } from "@tensorflow/tfjs";
import { openEngine } from "@/engine/mod.ts";
import { exit } from "@/exit.ts";
import { CurvdClient } from "@/trainer/mod.ts";
import { HELP, type Options, readOptions } from "./options.ts";
import { plotLosses } from "./plot.ts";
import { PROBLEMS } from "./problems.ts";
import { Progress } from "./progress.ts";
import { type Mark, run, type Step, taskOf, type Trainer } from "./run.ts";
import { type Server, startServer } from "./server.ts";
import {
  curvatureTrainer,
  GRADIENT_METHODS,
  gradientTrainer,
  isGradientMethod,
} from "./trainers.ts";

/** Examples of either kind that a mark is made of, and marks a run. */
const JUDGED = 2000;
const MARKS = 20;

const options = optionsOrExit();
const { facts } = await openEngine({ engine: "cpu", blas: "auto" });
const server = await serverOf(options);
const interruption = new AbortController();
const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
for (const signal of signals) Deno.addSignalListener(signal, () => interruption.abort());
try {
  await train(options);
} finally {
  await server?.stop();
}
exit(interruption.signal.aborted ? 130 : 0); // the BLAS's threads would keep the process

/** Trains, then writes what came of it; an interrupted run is written too. */
async function train(options: Options): Promise<void> {
  const { model, method, seed, steps, seconds } = options;
  const problem = PROBLEMS[model];
  const url = server?.url ?? options.server;
  const client = url === undefined ? null : new CurvdClient(url, { key: options.key });
  console.log(`${problem.description}, ${method}, seed ${seed}`);
  console.log(`Training: TensorFlow.js, products by ${facts.blas?.library ?? "built-in code"}`);
  const device = client ? await client.device() : null;
  if (device) console.log(`Server: ${url}, engine ${device.engine}. ${device.reason}`);

  const task = await taskOf(problem, options.batchSize, JUDGED);
  const progress = new Progress(1);
  const taken: Step[] = [];
  const marks = await run((net) => trainerOf(options, client, net), task, {
    seed,
    steps,
    seconds,
    markEvery: Math.max(1, Math.round(steps / MARKS)),
    signal: interruption.signal,
    onStep: (step, mark) => {
      taken.push(step);
      progress.moveTo(Math.max(step.step / steps, step.seconds / seconds), labelOf(step));
      if (mark) {
        progress.end();
        console.log(lineOf(mark));
      }
    },
  });
  progress.end();
  await save(options, { device, marks, taken });
}

function trainerOf(options: Options, client: CurvdClient | null, model: Sequential): Trainer {
  const { method, settings, seed, mode, isAsynchronous } = options;
  const { loss } = PROBLEMS[options.model];
  const { learningRate, momentum, ...curvature } = settings;
  if (isGradientMethod(method)) {
    const optimizer = GRADIENT_METHODS[method](learningRate, momentum);
    return gradientTrainer(model, loss, optimizer, () => learningRate);
  }
  return curvatureTrainer(model, loss, client!, {
    method,
    learningRate,
    momentum,
    ...curvature,
    mode,
    asynchronous: isAsynchronous,
    seed,
  });
}

function labelOf({ step, seconds, loss, age }: Step): string {
  const speed = `${(step / seconds).toPrecision(3)} steps/s`;
  return [`loss ${loss.toFixed(4)}`, speed, ...(age === undefined ? [] : [`curvature ${age} old`])]
    .join(", ");
}

function lineOf({ step, seconds, trainingLoss, testLoss, testAccuracy }: Mark): string {
  return [
    `step ${step}`,
    `${seconds.toFixed(1)} s`,
    `loss ${trainingLoss.toFixed(5)}`,
    `test ${testLoss.toFixed(5)}`,
    ...(testAccuracy === undefined ? [] : [`${(100 * testAccuracy).toFixed(2)} % right`]),
  ].join(", ");
}

/** The log: options, where it ran, marks, and every step as columns. */
async function save(
  options: Options,
  { device, marks, taken }: { device: object | null; marks: Mark[]; taken: Step[] },
): Promise<void> {
  const { model, method, seed, out, key: _, ...rest } = options;
  const log = {
    date: new Date().toISOString(),
    model,
    method,
    seed,
    ...rest,
    products: facts.blas?.library ?? "built-in code",
    server: device,
    marks,
    steps: {
      seconds: taken.map(({ seconds }) => Number(seconds.toFixed(4))),
      loss: taken.map(({ loss }) => loss),
      age: taken.map(({ age }) => age ?? null),
    },
  };
  const title = `${PROBLEMS[model].description}, ${method}`;
  const svg = await plotLosses(title, "loss", [
    { name: "batch", points: taken },
    { name: "training set", points: marks.map((mark) => ({ ...mark, loss: mark.trainingLoss })) },
    { name: "test set", points: marks.map((mark) => ({ ...mark, loss: mark.testLoss })) },
  ]);
  const folder = out.replace(/[^/\\]*$/, "");
  if (folder) await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${out}.json`, `${JSON.stringify(log, null, 1)}\n`);
  await Deno.writeTextFile(`${out}.svg`, svg);
  console.log(`\nlog ${out}.json\nplot ${out}.svg`);
}

/** A server of its own, where curvature is asked for and no server is named. */
async function serverOf({ method, server }: Options): Promise<Server | undefined> {
  return isGradientMethod(method) || server !== undefined ? undefined : await startServer();
}

/** The options; prints the help and ends where it was asked for, or where they cannot be read. */
function optionsOrExit(): Options {
  try {
    const options = readOptions(Deno.args);
    if (options) return options;
    console.log(HELP);
    Deno.exit(0);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(`${error.message}\n\n${HELP}`);
    Deno.exit(1);
  }
}
