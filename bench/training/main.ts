/**
 * Curvature against SGD and Adam on three problems: steps and seconds to the same training loss.
 *
 * All train the same nets from the same weights on the same batches with TensorFlow.js's cpu backend and
 * the same matrix product; curvature comes over HTTP from a server of this tree on the same machine, and
 * all of it counts. Every method has as many tries.
 *
 * Run: `deno task bench:training`; `-- --help` for its options. Runs are kept in dist/bench-training/ as
 * they end: a bench that is stopped goes on from there. Tables and plots: bench/results/training*.
 *
 * @module
 */
import { openEngine } from "@/engine/mod.ts";
import { CurvdClient } from "@/trainer/mod.ts";
import { plotLosses, PROBLEMS, startServer } from "@/training/mod.ts";
import { saveReport } from "../report.ts";
import * as contestants from "./contestants.ts";
import { Ledger } from "./ledger.ts";
import { HELP, type Options, readOptions } from "./options.ts";
import { barsOf, curvesOf, lineOf, rowsOf, tableOfStudy } from "./report.ts";
import { OutOfTime, type Study, study } from "./study.ts";

const options = optionsOrExit();
const folder = new URL(
  `../../dist/bench-training/${options.isQuick ? "quick/" : ""}`,
  import.meta.url,
);
const results = options.isQuick ? folder : new URL("../results/", import.meta.url);
await Deno.mkdir(folder, { recursive: true });
if (options.isQuick) await Deno.remove(new URL("runs.jsonl", folder)).catch(() => {}); // it has to train
const ledger = new Ledger(new URL("runs.jsonl", folder));
const endsAt = performance.now() + options.minutes * 60_000;

const { facts } = await openEngine({ engine: "cpu", blas: "auto" });
const server = await startServer();
const client = new CurvdClient(server.url);
const device = await client.device();
const studies: Study[] = [];
let isWhole = true;
try {
  for (const problem of options.problems) {
    const found = await study(problem, options, client, ledger, endsAt);
    studies.push(found);
    console.log(`\n${textOf(found)}\n`);
    const title = PROBLEMS[problem].description;
    const plot = await plotLosses(title, "training loss", curvesOf(found.outcomes));
    await Deno.writeTextFile(new URL(`training-${problem}.svg`, results), plot);
  }
} catch (error) {
  if (!(error instanceof OutOfTime)) throw error;
  isWhole = false;
  console.log("\nThe time is over; the same command goes on from here.");
} finally {
  await server.stop();
}
if (options.isQuick) console.log("A smoke run: all of it works; its figures say nothing.");
if (studies.length > 0) await save(studies);
Deno.exit(isWhole ? 0 : 3);

function textOf(found: Study): string {
  return [
    `### ${PROBLEMS[found.problem].description}`,
    "",
    `${found.steps} steps of ${contestants.BATCH_SIZE}, ${found.tuningSteps} a try; ` +
    `medians of seeds ${options.seeds.join(", ")}; in brackets the share of the baseline's own.`,
    "",
    tableOfStudy(found),
    "",
    ...barsOf(found).map((bar) => `- ${lineOf(bar)}`),
  ].join("\n");
}

async function save(studies: readonly Study[]): Promise<void> {
  const args = Deno.args.filter((arg) => arg !== "--");
  const command = ["deno task bench:training", ...(args.length ? ["--", ...args] : [])].join(" ");
  const { BATCH_SIZE, CURVATURE, STATISTICS_EXAMPLES } = contestants;
  const text = [
    "# Training: curvature by curvd against SGD with momentum and Adam",
    "",
    `\`${command}\`; TensorFlow.js on the CPU, products by ` +
    `${facts.blas?.library ?? "built-in code"}; ${navigator.hardwareConcurrency} cores. ` +
    `With curvature: statistics of ${STATISTICS_EXAMPLES} examples; ` +
    "λ is in the units of the loss summed over pixels.",
    "",
    ...studies.map(({ problem }) => `- ${problem}: ${wordsOf(CURVATURE[problem])}`),
    "",
    ...studies.flatMap((found) => [
      textOf(found),
      "",
      `![curves](training-${found.problem}.svg)`,
      "",
    ]),
  ].join("\n");
  await Deno.writeTextFile(new URL("training.md", results), text);
  if (options.isQuick) return;
  await saveReport("training", command, {
    client: facts,
    server: device,
    batch: BATCH_SIZE,
    curvature: CURVATURE,
    statisticsExamples: STATISTICS_EXAMPLES,
    problems: studies.map((found) => ({
      problem: found.problem,
      steps: found.steps,
      tuningSteps: found.tuningSteps,
      seeds: options.seeds,
      targets: found.targets,
      rows: rowsOf(found),
      bars: barsOf(found),
    })),
  });
}

function wordsOf(
  { statisticsEvery, refreshEvery, warmup, klClip }: typeof contestants.CURVATURE["mnist-conv"],
): string {
  const every = `statistics every ${statisticsEvery} steps, a refresh every ${refreshEvery}`;
  const early = warmup &&
    `, in the first ${warmup.steps} steps every ${warmup.statisticsEvery} and ` +
      `${warmup.statisticsEvery * refreshEvery / statisticsEvery}`;
  return `${every}${early ?? ""}; steps bounded by κ = ${klClip}`;
}

/** The options; prints the help and ends where it was asked for, or where they cannot be read. */
function optionsOrExit(): Options {
  try {
    const options = readOptions(Deno.args);
    if (!options.wantsHelp) return options;
    console.log(HELP);
    Deno.exit(0);
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    console.error(`${error.message}\n\n${HELP}`);
    Deno.exit(1);
  }
}
