/**
 * What curvature adds to a training step, in units of plain Adam's on the same net, batch and TensorFlow.js backend.
 *
 * Contestants take turns of one refresh period each, in an order that is reversed every round, so that other work
 * on the machine meets all alike. A turn's time is the mean over its steps: statistics, refreshes, downloads and the
 * way to the server are in it. The server runs on the same machine, on the same cores. Beside the time stands the
 * processor time of the training process alone, its BLAS's threads included: other work hardly moves that.
 *
 *     deno task bench:overhead [--problem=mnist-autoencoder] [--rounds=5] [--only=TEXT]
 *         [--server=URL] [--save]
 *
 * @module
 */
import process from "node:process";
import { parseArgs } from "node:util";
import type { Sequential } from "@tensorflow/tfjs";
import { openEngine } from "@/engine/mod.ts";
import { disposeBatch } from "@/networks/mod.ts";
import { type CurvatureOptions, CurvdClient } from "@/trainer/mod.ts";
import {
  curvatureTrainer,
  GRADIENT_METHODS,
  gradientTrainer,
  median,
  type ProblemName,
  PROBLEMS,
  startServer,
  taskOf,
  type Trainer,
} from "@/training/mod.ts";
import { saveReport } from "../report.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    problem: { type: "string", default: "mnist-autoencoder" },
    rounds: { type: "string", default: "5" },
    only: { type: "string", default: "" },
    server: { type: "string" },
    save: { type: "boolean", default: false },
  },
});
const BATCH = 512;
/** Steps of a turn: one refresh, two batches of statistics. */
const REFRESH_EVERY = 20;
const STATISTICS_EVERY = 10;
const USUAL = {
  learningRate: 0.01,
  damping: 0.1,
  klClip: 0.01,
  momentum: 0.9,
  statisticsEvery: STATISTICS_EVERY,
  refreshEvery: REFRESH_EVERY,
} satisfies Partial<CurvatureOptions>;

const { facts } = await openEngine({ engine: "cpu", blas: "auto" });
const problem = PROBLEMS[options.problem as ProblemName];
const task = await taskOf(problem, BATCH, 1);
const own = options.server === undefined ? await startServer() : null;
const client = new CurvdClient(options.server ?? own!.url);

const curvature = (more: Partial<CurvatureOptions>) => (model: Sequential) =>
  curvatureTrainer(model, problem.loss, client, { ...USUAL, ...more });
const ALL: Record<string, (model: Sequential) => Trainer> = {
  "adam": (model) => gradientTrainer(model, problem.loss, GRADIENT_METHODS.adam(1e-3), () => 1e-3),
  "sgd with momentum": (model) =>
    gradientTrainer(model, problem.loss, GRADIENT_METHODS.sgd(0.1, 0.9), () => 0.1),
  "kfac, local, asynchronous": curvature({ mode: "local", asynchronous: true }),
  "kfac, local, asynchronous, a quarter of the batch": curvature({
    mode: "local",
    asynchronous: true,
    statisticsExamples: BATCH / 4,
  }),
  "kfac, local": curvature({ mode: "local" }),
  "kfac, remote": curvature({ mode: "remote" }),
  "kfac, remote, statistics every step": curvature({ mode: "remote", statisticsEvery: 1 }),
  "ekfac, local, asynchronous": curvature({ method: "ekfac", mode: "local", asynchronous: true }),
};

/** Adam, and those whose name has the text asked for. */
const CONTESTANTS = Object.fromEntries(
  Object.entries(ALL).filter(([name]) => name === "adam" || name.includes(options.only)),
);

/** What a step took on the average of a turn, in milliseconds. */
interface Turn {
  readonly ms: number;
  readonly processorMs: number;
}

const turns = new Map<string, Turn[]>(Object.keys(CONTESTANTS).map((name) => [name, []]));
const models = new Map(Object.keys(CONTESTANTS).map((name) => [name, problem.network(1)]));
const trainers = new Map(
  Object.entries(CONTESTANTS).map(([name, start]) => [name, start(models.get(name)!)]),
);
const places = Uint32Array.from({ length: BATCH }, (_, i) => i);
const batch = task.training.batchAt(places);
for (let turn = 0; turn <= Number(options.rounds); turn++) {
  const order = Object.keys(CONTESTANTS);
  if (turn % 2 === 1) order.reverse();
  for (const name of order) {
    const trainer = trainers.get(name)!;
    const [begun, used] = [performance.now(), process.cpuUsage()];
    for (let step = 0; step < REFRESH_EVERY; step++) {
      await trainer.step(batch, turn * REFRESH_EVERY + step);
    }
    const { user, system } = process.cpuUsage(used);
    const taken = {
      ms: (performance.now() - begun) / REFRESH_EVERY,
      processorMs: (user + system) / 1000 / REFRESH_EVERY,
    };
    if (turn > 0) turns.get(name)!.push(taken); // the first turn warms up
  }
}
disposeBatch(batch);
for (const trainer of trainers.values()) await trainer.dispose();
await own?.stop();

const middle = (name: string, of: keyof Turn) => median(turns.get(name)!.map((turn) => turn[of]));
const rows = Object.keys(CONTESTANTS).map((name) => ({
  name,
  ms: round(middle(name, "ms")),
  times_adam: round(middle(name, "ms") / middle("adam", "ms")),
  processor_ms: round(middle(name, "processorMs")),
  times_adam_processor: round(middle(name, "processorMs") / middle("adam", "processorMs")),
}));
console.log(
  `${problem.description}, batch ${BATCH}, products by ${facts.blas?.library ?? "built-in code"}`,
);
console.log(`${"".padEnd(50)}      ms  of Adam's   processor ms  of Adam's`);
for (const { name, ms, times_adam, processor_ms, times_adam_processor } of rows) {
  const figures = [ms.toFixed(1), times_adam.toFixed(2), processor_ms.toFixed(1)];
  const cells = [...figures, times_adam_processor.toFixed(2)];
  console.log(
    name.padEnd(48) + cells.map((cell, at) => cell.padStart([10, 11, 15, 11][at])).join(""),
  );
}
if (options.save) {
  await saveReport(
    `training-overhead-${problem.name}`,
    `deno task bench:overhead --problem=${problem.name} --save`,
    {
      problem: problem.description,
      batch: BATCH,
      statistics_every: STATISTICS_EVERY,
      refresh_every: REFRESH_EVERY,
      rounds: Number(options.rounds),
      rows,
    },
  );
}
Deno.exit(0); // the BLAS's threads would keep the process

function round(value: number): number {
  return Number(value.toFixed(2));
}
