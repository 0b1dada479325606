/**
 * Four times as many requests as the server can answer: how many it answers, how soon, and what it does with the others.
 *
 * Requests come at a rate, whatever becomes of those before them, and each says by `Curvd-Timeout-Ms` when its answer is of no
 * use any more. The generator is a process of its own, on the same cores, and so is what it sends to be refused: once with
 * clients that send their bodies at once, and once with clients that wait to be asked for them (`Expect: 100-continue`).
 *
 * @module
 */
import { tensorOf } from "@/wire/mod.ts";
import { bodyOf, factorOf, packed, SAFETENSORS_HEADERS } from "./factors.ts";
import { type Answer, Client, closedLoop, percentile, type Shot } from "./load.ts";
import type { RunningServer } from "./server.ts";

const SIDE = 512, TIMES_CAPACITY = 4, CLIENTS_AT_CAPACITY = 8, LATENCY_BAR = 3;

/** Eigenvectors of one packed factor: much to compute for its bytes. */
function shotAt(url: string): Shot {
  const factor = packed(factorOf(SIDE), SIDE);
  const body = bodyOf({ layers: { fc: { A: tensorOf([factor.length], factor) } } });
  return { url: `${url}/v1/eigenbases`, body, headers: SAFETENSORS_HEADERS };
}

/** @param waits whether clients send their bodies when they are asked for them. */
export async function overloadRow(
  { url }: RunningServer,
  seconds: number,
  waits: boolean,
): Promise<Record<string, unknown>> {
  const shot = { ...shotAt(url), waits };
  await closedLoop(shot, { clients: 4, seconds: 2 });
  const unloaded = timesOf(await closedLoop(shot, { clients: 1, seconds: 10 }));
  const begun = performance.now();
  const atCapacity = await closedLoop(shot, { clients: CLIENTS_AT_CAPACITY, seconds: 10 });
  const capacity = atCapacity.length / (performance.now() - begun) * 1000;
  const timeoutMs = Math.ceil(LATENCY_BAR * percentile(unloaded, 0.99));

  const watched = watch(url);
  const answers = await atRate(
    { ...shot, headers: { ...shot.headers, "curvd-timeout-ms": String(timeoutMs) } },
    TIMES_CAPACITY * capacity,
    seconds,
  );
  const { live, residentBytes } = await watched.stop();
  const admitted = answers.filter(({ status }) => status === 200);
  const refused = answers.filter(({ status }) => status === 429);
  const half = residentBytes.length >> 1;
  return {
    work: `eigenbases of one ${SIDE}, packed`,
    bodies: waits ? "sent when asked for" : "sent at once",
    seconds,
    offered_per_s: round(answers.length / seconds),
    capacity_per_s: round(capacity),
    goodput_per_s: round(admitted.length / seconds),
    goodput_share: round(admitted.length / seconds / capacity),
    bar_goodput_share: 0.85,
    unloaded_p50_ms: percentile(unloaded, 0.5),
    unloaded_p99_ms: percentile(unloaded, 0.99),
    admitted_p50_ms: percentile(timesOf(admitted), 0.5),
    admitted_p99_ms: percentile(timesOf(admitted), 0.99),
    admitted_p99_ratio: round(percentile(timesOf(admitted), 0.99) / percentile(unloaded, 0.99)),
    bar_p99_ratio: LATENCY_BAR,
    refused: refused.length,
    refused_p50_ms: percentile(timesOf(refused), 0.5),
    refused_p99_ms: percentile(timesOf(refused), 0.99),
    bar_refused_ms: 20,
    other_statuses: counted(answers.filter(({ status }) => status !== 200 && status !== 429)),
    live_p50_ms: percentile(live, 0.5),
    live_p99_ms: percentile(live, 0.99),
    bar_live_p99_ms: 50,
    resident_mb_first_half: mebibytes(Math.max(...residentBytes.slice(0, half))),
    resident_mb_second_half: mebibytes(Math.max(...residentBytes.slice(half))),
  };
}

/** What is kept of an answer: there are tens of thousands. */
type Outcome = Pick<Answer, "status" | "milliseconds">;

/** Requests at a rate, on as many connections as it takes. */
async function atRate(
  shot: Shot,
  perSecond: number,
  seconds: number,
): Promise<Outcome[]> {
  const client = new Client();
  const answers: Promise<Outcome>[] = [];
  const send = async () => {
    const { status, milliseconds } = await client.send(shot);
    return { status, milliseconds };
  };
  const begun = performance.now();
  for (let now = begun; now < begun + 1000 * seconds; now = performance.now()) {
    const due = Math.floor((now - begun) / 1000 * perSecond);
    while (answers.length < due) answers.push(send());
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const all = await Promise.all(answers);
  client.close();
  return all;
}

/** Asks after the server's health and memory until it is stopped. */
function watch(url: string) {
  const client = new Client();
  const live: number[] = [], residentBytes: number[] = [];
  let isOn = true;
  const every = async (ms: number, ask: () => Promise<void>) => {
    while (isOn) {
      await ask();
      await new Promise((resolve) => setTimeout(resolve, ms));
    }
  };
  const watching = Promise.all([
    every(20, async () => {
      live.push((await client.send({ url: `${url}/health/live` })).milliseconds);
    }),
    every(1000, async () => {
      const signal = AbortSignal.timeout(30_000); // lost, it would be waited for for ever
      const text = await (await fetch(`${url}/metrics`, { signal })).text();
      residentBytes.push(Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)![1]));
    }),
  ]);
  return {
    async stop() {
      isOn = false;
      await watching;
      client.close();
      return { live, residentBytes };
    },
  };
}

function timesOf(answers: readonly Outcome[]): number[] {
  return answers.map(({ milliseconds }) => milliseconds);
}

function counted(answers: readonly Outcome[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

function round(x: number): number {
  return Number(x.toPrecision(3));
}
