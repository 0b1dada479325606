/**
 * What device batching gives: 64 clients that each ask for the inverses of a 128×128 pair, ask again when answered, and so wait
 * at the same time, against two ways of computing one pair at a time:
 *
 *   one client    the same server, and a single client: no two requests ever meet
 *   unbatched     the same 64 clients, and a server of the same tree in which every request has a device turn of its own
 *
 * The first also has each request's trip through client, HTTP and Workers in its time, one after the other; the second has these
 * side by side with the device's work, as the batched server has, so that the device's batches are all that differs.
 *
 * @module
 */
import { inversesOfPair, SAFETENSORS_HEADERS } from "./factors.ts";
import { closedLoop, percentile } from "./load.ts";
import { type RunningServer, startServer } from "./server.ts";

const CLIENTS = 64, SIDE = 128;
/** All are measured in turns: what else runs on the machine then meets each. */
const ROUNDS = 3;

export async function batchingRow(
  engine: "cpu" | "webgpu",
  server: RunningServer,
  seconds = 4,
): Promise<Record<string, unknown>> {
  const lone = await startServer(engine, ":memory:", "lone_preload.ts");
  const ways = {
    one: { url: server.url, clients: 1 },
    unbatched: { url: lone.url, clients: CLIENTS },
    together: { url: server.url, clients: CLIENTS },
  };
  const shotAt = (url: string) => ({
    url: `${url}/v1/inverses`,
    body: inversesOfPair(SIDE),
    headers: SAFETENSORS_HEADERS,
  });
  for (const { url } of [server, lone]) {
    await closedLoop(shotAt(url), { clients: 2, seconds: 1 }); // compiled, warm
  }
  const times: Record<string, number[]> = { one: [], unbatched: [], together: [] };
  const rates: Record<string, number> = { one: 0, unbatched: 0, together: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, { url, clients }] of Object.entries(ways)) {
      const begun = performance.now();
      const answers = await closedLoop(shotAt(url), { clients, seconds });
      const lost = answers.filter(({ status }) => status !== 200);
      if (lost.length > 0) throw new Error(`${lost.length} requests got ${lost[0].status}`);
      rates[name] += answers.length / (performance.now() - begun) * 1000 / ROUNDS;
      times[name].push(...answers.map(({ milliseconds }) => milliseconds));
    }
  }
  await lone.close();
  return {
    engine,
    work: `inverses of a ${SIDE} pair`,
    clients: CLIENTS,
    one_client_per_s: round(rates.one),
    unbatched_per_s: round(rates.unbatched),
    together_per_s: round(rates.together),
    ratio_to_one_client: round(rates.together / rates.one),
    ratio_to_unbatched: round(rates.together / rates.unbatched),
    bar: engine === "webgpu" ? 3 : 1.3,
    one_p50_ms: percentile(times.one, 0.5),
    unbatched_p50_ms: percentile(times.unbatched, 0.5),
    together_p50_ms: percentile(times.together, 0.5),
    together_p99_ms: percentile(times.together, 0.99),
  };
}

function round(x: number): number {
  return Number(x.toPrecision(3));
}
