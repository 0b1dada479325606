/**
 * `deno task bench:recovery`: a server with a gigabyte of sessions is killed, and starts again.
 *
 * A session of one K-FAC layer is made with statistics and a refresh, and the others of its checkpoint, so that all of the
 * state is in the store. Then SIGKILL; a new process on the same store; the time until `/health/ready` answers 200, and until the
 * last session's factors are there, to the bit as they were before. After that one session's checkpoint goes out and in, with
 * the memory that this takes beyond the session's own.
 *
 *     deno task bench:recovery [--megabytes=1024] [--width=2048] [--save]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { decodeSafetensors, tensorOf, type WireTensor } from "@/wire/mod.ts";
import { saveReport } from "../report.ts";
import { send } from "./client.ts";
import { type KillableServer, startKillable } from "./server.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    megabytes: { type: "string", default: "1024" },
    width: { type: "string", default: "2048" },
    save: { type: "boolean", default: false },
  },
});
const WIDTH = Number(options.width);
/** A, G and their inverses. */
const SESSION_BYTES = 4 * 4 * WIDTH ** 2;
const SESSIONS = Math.ceil(Number(options.megabytes) * 2 ** 20 / SESSION_BYTES);
const EXAMPLES = 64;

const noise = Float32Array.from({ length: 2 * EXAMPLES * WIDTH }, () => Math.random() - 0.5);
const folder = await Deno.makeTempDir({ prefix: "curvd-bench-" });
const first = await startKillable(folder);
await open(first.url, "session-0");
for (let i = 1; i < SESSIONS; i++) await copy(first.url, "session-0", `session-${i}`);
const LAST = `session-${SESSIONS - 1}`;
const before = await factors(first.url, LAST);
const stateMb = Math.round(SESSIONS * SESSION_BYTES / 2 ** 20);
await first.end("SIGKILL");
const storeMb = Math.round((await Deno.stat(`${folder}/sessions.sqlite`)).size / 2 ** 20);

const begun = performance.now();
const again = await startKillable(folder);
await ready(again.url);
const readyMs = performance.now() - begun;
const after = await factors(again.url, LAST);
const firstAnswerMs = performance.now() - begun;
for (const [name, { data }] of before) {
  const same = after.get(name)?.data;
  if (!same || data.some((value, i) => value !== same[i])) throw new Error(`${name} has changed`);
}
const recovery = { sessions: SESSIONS, stateMb, storeMb, readyMs, firstAnswerMs };
const checkpoint = await checkpointRow(again);
await again.end("SIGTERM");
await Deno.remove(folder, { recursive: true });
console.table([recovery]);
console.table([checkpoint]);
if (options.save) {
  const command = `deno task bench:recovery ${Deno.args.join(" ")}`.trim();
  await saveReport("recovery", command, { recovery, checkpoint });
}
Deno.exit(0);

/** A session with statistics and a preconditioner. */
async function open(url: string, id: string): Promise<void> {
  const layers = { fc: { kind: "dense", bias: false, d_in: WIDTH, d_out: WIDTH } };
  await send(url, "", { id, layers, damping: 0.1 } as never);
  const rows = (from: number) =>
    tensorOf([EXAMPLES, WIDTH], noise.slice(from, from + EXAMPLES * WIDTH));
  await send(url, `/${id}/statistics`, {
    layers: { fc: { inputs: rows(0), output_gradients: rows(1) } },
  });
}

/** A session of another's checkpoint, by a client that keeps nothing of it. @returns the file's bytes. */
async function copy(url: string, from: string, to: string): Promise<number> {
  const file = await fetch(`${url}/v1/sessions/${from}/checkpoint`);
  const response = await fetch(`${url}/v1/sessions/${to}/checkpoint`, {
    method: "PUT",
    body: file.body,
    headers: { "content-type": "application/vnd.safetensors" },
  });
  if (!response.ok) throw new Error(await response.text());
  await response.body?.cancel();
  return Number(file.headers.get("content-length"));
}

async function factors(url: string, id: string): Promise<ReadonlyMap<string, WireTensor>> {
  const response = await fetch(`${url}/v1/sessions/${id}/factors`, {
    headers: { accept: "application/vnd.safetensors" },
  });
  if (!response.ok) throw new Error(await response.text());
  return decodeSafetensors(await response.bytes()).tensors;
}

async function ready(url: string): Promise<void> {
  for (;;) {
    const response = await fetch(`${url}/health/ready`);
    await response.body?.cancel();
    if (response.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A checkpoint out and in, and the most memory meanwhile. */
async function checkpointRow({ url, peakBytes, residentBytes }: KillableServer) {
  const rest = await residentBytes(); // with the session in memory
  const begun = performance.now();
  const bytes = await copy(url, LAST, "copy");
  const outAndInMs = performance.now() - begun;
  const beyond = await peakBytes() - rest - bytes;
  return {
    megabytes: Math.round(bytes / 2 ** 20),
    outAndInMs,
    peakBeyondTheCopyMb: Math.round(beyond / 2 ** 20),
  };
}
