/**
 * Faults at random under load, every answer checked:
 *
 *   deno task bench:faults [--minutes=15] [--seed=1] [--engine=cpu] [--save]
 *
 * Ends with 1 where an answer was wrong, the server ended by itself, or something was left over.
 * `--save` writes bench/results/faults.json.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { saveReport } from "../report.ts";
import { runMix } from "./mix.ts";
import { bugsIn, startServerProcess } from "./server_process.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    minutes: { type: "string", default: "15" },
    seed: { type: "string", default: "1" },
    engine: { type: "string", default: "cpu" },
    save: { type: "boolean", default: false },
  },
});
const minutes = Number(values.minutes);

const server = await startServerProcess({ CURVD_ENGINE: values.engine });
const { tally, observations } = await runMix(server, {
  seconds: 60 * minutes,
  seed: Number(values.seed),
  callers: 6,
  trainers: 4,
  workerFaultMs: 15_000,
  clientFaultMs: 1_000,
});
const { code, printed } = await server.stop();
if (code !== 0) tally.wrong(`The server ended with ${code}`);
const bugs = bugsIn(printed);
tally.wrongs += bugs.length;

const sorted = (counts: ReadonlyMap<string, number>) =>
  Object.fromEntries([...counts].sort(([a], [b]) => a < b ? -1 : 1));
const figures = {
  minutes,
  engine: values.engine,
  seed: Number(values.seed),
  answers_checked: tally.checked,
  wrong: tally.wrongs,
  faults: sorted(tally.faults),
  answers: sorted(tally.answers),
  ...observations,
};
console.log(JSON.stringify(figures, null, 1));
for (const complaint of [...bugs, ...tally.complaints]) console.error(complaint);
if (values.save) {
  await saveReport("faults", `deno task bench:faults --minutes=${minutes} --save`, figures);
}
Deno.exit(tally.wrongs === 0 ? 0 : 1);
