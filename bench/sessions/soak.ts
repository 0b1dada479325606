/**
 * `deno task bench:soak`: sessions created, stepped, spilled and deleted, for half an hour.
 *
 * Twenty sessions, sync and async, under a budget that holds a few of them, so that most calls bring one back and spill
 * another. Four clients step them at once; every answer is held against a float64 replay. Resident memory, tensors and bytes on
 * the device are sampled: their least-squares slopes over the last two thirds of the run must be flat. Ends with 1 where an
 * answer was wrong or memory grew.
 *
 *     deno task bench:soak [--minutes=30] [--save]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { saveReport } from "../report.ts";
import { CheckedSession } from "./checked_session.ts";
import { type KillableServer, startKillable } from "./server.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    minutes: { type: "string", default: "30" },
    save: { type: "boolean", default: false },
  },
});
const MINUTES = Number(options.minutes);
const SESSIONS = 20, CLIENTS = 4;
/** A session is ended and another made after so many steps. */
const LIFE_STEPS = 60;
const CHECK_EVERY = 10;
/** Of the budget; a session has some 0.1 MiB. */
const BUDGET_MB = "1";
const SAMPLE_MS = Math.min(5000, MINUTES * 60_000 / 60);
/** Growth over the measured time, of the mean, that is noise. */
const FLAT = 0.05;

interface Sampled {
  readonly minutes: number;
  readonly residentMb: number;
  readonly tensors: number;
  readonly deviceMb: number;
}

const folder = await Deno.makeTempDir({ prefix: "curvd-soak-" });
const server = await startKillable(folder, { CURVD_MEMORY_MB: BUDGET_MB });
const begun = performance.now();
const minutesNow = () => (performance.now() - begun) / 60_000;
const counts = { steps: 0, checks: 0, created: 0, deleted: 0 };
const samples: Sampled[] = [];

let next = begun;
const sampling = setInterval(async () => {
  if (performance.now() < next) return;
  next += SAMPLE_MS;
  samples.push(await sampled(server));
}, SAMPLE_MS / 10);
await Promise.all(Array.from({ length: CLIENTS }, (_, client) => run(client)));
clearInterval(sampling);

const measured = samples.filter(({ minutes }) => minutes > MINUTES / 3);
const trends = (["residentMb", "tensors", "deviceMb"] as const).map((what) => ({
  what,
  ...trendOf(measured.map(({ minutes, [what]: value }) => [minutes, value])),
}));
const spilled = await spills(server.url);
const store = (await Deno.stat(`${folder}/sessions.sqlite`)).size / 2 ** 20;
console.log("every answer was the replay's"); // or the first that was not has ended this
console.table([{ minutes: MINUTES, ...counts, spilled, storeMb: Math.round(store) }]);
console.table(trends);
await server.end("SIGTERM");
await Deno.remove(folder, { recursive: true });
if (options.save) {
  const command = `deno task bench:soak ${Deno.args.join(" ")}`.trim();
  await saveReport("soak", command, { ...counts, spilled, trends, samples });
}
Deno.exit(trends.every(({ isFlat }) => isFlat) ? 0 : 1);

/** A client's share of the sessions, stepped at random. */
async function run(client: number): Promise<void> {
  const open = (slot: number) => {
    counts.created++;
    const id = `soak-${client}-${slot}-${counts.created}`;
    return CheckedSession.open(server.url, id, slot % 2 === 0 ? "sync" : "async");
  };
  const sessions: CheckedSession[] = [];
  for (let slot = 0; slot < SESSIONS / CLIENTS; slot++) sessions.push(await open(slot));
  while (minutesNow() < MINUTES) {
    const slot = Math.floor(Math.random() * sessions.length);
    const session = sessions[slot];
    await session.step();
    counts.steps++;
    if (session.steps % CHECK_EVERY === 0) {
      await session.check();
      counts.checks++;
    }
    if (session.steps < LIFE_STEPS) continue;
    await session.end();
    counts.deleted++;
    sessions[slot] = await open(slot);
  }
}

async function sampled({ url, residentBytes }: KillableServer): Promise<Sampled> {
  const { memory } = await (await fetch(`${url}/v1/device`)).json();
  return {
    minutes: minutesNow(),
    residentMb: await residentBytes() / 2 ** 20,
    tensors: memory.tensors,
    deviceMb: memory.bytes / 2 ** 20,
  };
}

/** How often sessions left memory, by the server's own count. */
async function spills(url: string): Promise<number | null> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const [, count] = /^curvd_session_spills_total(?:\{\})? (\d+)/m.exec(text) ?? [];
  return count === undefined ? null : Number(count);
}

/** The line of least squares through points in time. */
function trendOf(points: readonly (readonly [minutes: number, value: number])[]) {
  const mean = (of: (point: readonly [number, number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [t, v] = [mean(([t]) => t), mean(([, v]) => v)];
  const slope = mean(([x, y]) => (x - t) * (y - v)) / mean(([x]) => (x - t) ** 2);
  const minutes = points.at(-1)![0] - points[0][0];
  const growth = slope * minutes / v;
  return {
    mean: Math.round(10 * v) / 10,
    slopePerHour: Math.round(100 * 60 * slope) / 100,
    growthPercent: Math.round(1000 * growth) / 10,
    isFlat: growth <= FLAT,
  };
}
