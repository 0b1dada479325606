/**
 * Many small clients: requests a second of 64 clients that each invert a 128×128 pair, against one client at a time.
 *
 * @module
 */
import { inversesOfPair, SAFETENSORS_HEADERS } from "./factors.ts";
import { closedLoop, percentile } from "./load.ts";
import type { RunningServer } from "./server.ts";

const CLIENTS = 64, SIDE = 128;
/** The two are measured in turns: what else runs on the machine then meets both. */
const ROUNDS = 3;

export async function batchingRow(
  { url }: RunningServer,
  engine: "cpu" | "webgpu",
  seconds = 4,
): Promise<Record<string, unknown>> {
  const shot = {
    url: `${url}/v1/inverses`,
    body: inversesOfPair(SIDE),
    headers: SAFETENSORS_HEADERS,
  };
  const times = { one: [] as number[], many: [] as number[] };
  const rates = { one: 0, many: 0 };
  await closedLoop(shot, { clients: 2, seconds: 1 }); // compiled, warm
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, clients] of [["one", 1], ["many", CLIENTS]] as const) {
      const begun = performance.now();
      const answers = await closedLoop(shot, { clients, seconds });
      const lost = answers.filter(({ status }) => status !== 200);
      if (lost.length > 0) throw new Error(`${lost.length} requests got ${lost[0].status}`);
      rates[name] += answers.length / (performance.now() - begun) * 1000 / ROUNDS;
      times[name].push(...answers.map(({ milliseconds }) => milliseconds));
    }
  }
  return {
    engine,
    work: `inverses of a ${SIDE} pair`,
    one_at_a_time_per_s: round(rates.one),
    clients: CLIENTS,
    together_per_s: round(rates.many),
    ratio: round(rates.many / rates.one),
    bar: engine === "webgpu" ? 3 : 1.3,
    one_p50_ms: percentile(times.one, 0.5),
    together_p50_ms: percentile(times.many, 0.5),
    together_p99_ms: percentile(times.many, 0.99),
  };
}

function round(x: number): number {
  return Number(x.toPrecision(3));
}
