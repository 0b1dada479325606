/** The server seen from outside: memory, files, health; during a run, and when all is quiet again. @module */
import type { ServerProcess } from "./server_process.ts";

export interface Observations {
  /** Milliseconds of `GET /health/live`. */
  readonly liveMs: { readonly p50: number; readonly p99: number; readonly most: number };
  readonly residentMiB: { readonly first: number; readonly last: number; readonly most: number };
  /** MiB an hour, least squares over the run less its first fifth. */
  readonly residentSlope: number;
  /** After the last request, as at the first. */
  readonly left: { readonly tensors: number; readonly files: number; readonly sessions: number };
  readonly complaints: readonly string[];
}

const EVERY_MS = 250;
/** How long what is being dropped may take to be gone. */
const SETTLE_MS = 60_000;
const MIB = 2 ** 20;

/** Watches until the run is over, then waits for the server to be as it was. */
export async function observe(server: ServerProcess, isOver: () => boolean): Promise<Observations> {
  const before = await stateOf(server);
  const begun = performance.now();
  const live: number[] = [];
  const resident: [seconds: number, mib: number][] = [];
  const complaints: string[] = [];
  while (!isOver()) {
    const asked = performance.now();
    const ok = await fetch(`${server.url}/health/live`).then(async (response) => {
      await response.body?.cancel();
      return response.ok;
    }, () => false);
    const answered = performance.now();
    if (!ok) complaints.push("GET /health/live was not answered with 200");
    live.push(answered - asked);
    if (!server.hasEnded()) {
      resident.push([(answered - begun) / 1000, server.residentBytes() / MIB]);
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
  const left = await settled(server, before, complaints);
  const mib = resident.map(([, value]) => value);
  live.sort((x, y) => x - y);
  return {
    liveMs: { p50: quantile(live, 0.5), p99: quantile(live, 0.99), most: live.at(-1) ?? NaN },
    residentMiB: { first: mib[0], last: mib.at(-1) ?? NaN, most: Math.max(...mib) },
    residentSlope: 3600 * slope(resident.slice(Math.floor(resident.length / 5))),
    left,
    complaints,
  };
}

type State = Observations["left"];

async function stateOf({ url, openFiles }: ServerProcess): Promise<State> {
  const read = async (path: string) => await (await fetch(`${url}${path}`)).json();
  const { memory } = await read("/v1/device");
  const { sessions } = await read("/v1/sessions");
  return { tensors: memory.tensors, files: openFiles(), sessions: sessions.length };
}

/** The state once nothing is left over; what stays is complained of. */
async function settled(server: ServerProcess, before: State, complaints: string[]): Promise<State> {
  const begun = performance.now();
  while (true) {
    if (server.hasEnded()) {
      complaints.push("The server has ended by itself");
      return { tensors: NaN, files: NaN, sessions: NaN };
    }
    const now = await stateOf(server).catch(() => undefined); // the Worker may be starting again
    // this side keeps some of its connections open, and the server then its ends of them
    const isQuiet = now !== undefined && now.sessions === 0 && now.tensors <= before.tensors &&
      now.files <= before.files + KEPT_CONNECTIONS;
    if (isQuiet) return now;
    if (performance.now() - begun > SETTLE_MS) {
      complaints.push(`Left over: ${JSON.stringify(now)}, at first ${JSON.stringify(before)}`);
      return now ?? { tensors: NaN, files: NaN, sessions: NaN };
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

/** Connections that fetch may keep for later. */
const KEPT_CONNECTIONS = 64;

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

/** Of the least-squares line through the points. */
function slope(points: readonly [number, number][]): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const along = points.reduce((sum, [xi, yi]) => sum + (xi - x) * (yi - y), 0);
  return along / points.reduce((sum, [xi]) => sum + (xi - x) ** 2, 0);
}
