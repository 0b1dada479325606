/**
 * What the service costs beside computing: `POST /v1/inverses` of a 512 pair, part by part, and the rate of an empty request.
 *
 * @module
 */
import { inversesOfPair, SAFETENSORS_HEADERS } from "./factors.ts";
import { type Answer, Client, closedLoop, percentile } from "./load.ts";
import type { RunningServer } from "./server.ts";

const SIDE = 512, REQUESTS = 200, BAR_MS = 1.5;
const CLIENTS = 16, BAR_PER_SECOND = 20_000;

/** Stages of `Server-Timing`, ms. */
function stagesOf({ headers }: Answer): Record<string, number> {
  const timing = String(headers["server-timing"] ?? "");
  const stages = [...timing.matchAll(/(\w+);dur=([\d.]+)/g)];
  return Object.fromEntries(stages.map(([, stage, ms]) => [stage, Number(ms)]));
}

/**
 * The parts of a request's time at the client, medians. The copies are those of a body of the same size to a server in the
 * generator's own process that sends it back, over the same loopback.
 */
export async function overheadRow({ url }: RunningServer): Promise<Record<string, unknown>> {
  const body = inversesOfPair(SIDE);
  const client = new Client();
  const shot = { url: `${url}/v1/inverses`, body, headers: SAFETENSORS_HEADERS };
  const answers: Answer[] = [];
  for (let i = 0; i < REQUESTS + 20; i++) {
    const answer = await client.send(shot);
    if (answer.status !== 200) throw new Error(`got ${answer.status}`);
    if (i >= 20) answers.push(answer);
  }
  client.close();
  const copies = await copiesOf(body);
  const of = (part: (answer: Answer) => number) => percentile(answers.map(part), 0.5);
  const compute = of((answer) => stagesOf(answer).compute + stagesOf(answer).read);
  const beyond = answers.map((answer) => {
    const { compute, read } = stagesOf(answer);
    return answer.milliseconds - compute - read - copies;
  });
  return {
    work: `inverses of a ${SIDE} pair`,
    requests: REQUESTS,
    client_p50_ms: of(({ milliseconds }) => milliseconds),
    compute_and_read_p50_ms: compute,
    receive_p50_ms: of((answer) => stagesOf(answer).receive),
    wait_p50_ms: of((answer) => stagesOf(answer).wait),
    copies_p50_ms: copies,
    overhead_p50_ms: percentile(beyond, 0.5),
    bar_ms: BAR_MS,
  };
}

/** A round trip of a body to a server that only sends it back, ms. */
async function copiesOf(body: Uint8Array<ArrayBuffer>): Promise<number> {
  const worker = new Worker(new URL("./echo_worker.ts", import.meta.url), { type: "module" });
  const url = await new Promise<string>((resolve) =>
    worker.onmessage = ({ data }: MessageEvent<string>) => resolve(data)
  );
  const client = new Client();
  const times: number[] = [];
  for (let i = 0; i < REQUESTS + 20; i++) {
    const { milliseconds } = await client.send({ url, body, headers: SAFETENSORS_HEADERS });
    if (i >= 20) times.push(milliseconds);
  }
  client.close();
  worker.terminate();
  return percentile(times, 0.5);
}

/** `GET /health/live` as fast as it goes: by `wrk` where the machine has it, as a generator in Deno is slower than the server. */
export async function liveRow(
  { url }: RunningServer,
  seconds = 5,
): Promise<Record<string, unknown>> {
  const path = `${url}/health/live`;
  const row = { work: "GET /health/live", clients: CLIENTS, bar_per_second: BAR_PER_SECOND };
  const byWrk = await wrk(path, seconds);
  if (byWrk !== null) return { ...row, generator: "wrk", per_second: byWrk };
  await closedLoop({ url: path }, { clients: CLIENTS, seconds: 1 });
  const begun = performance.now();
  const answers = await closedLoop({ url: path }, { clients: CLIENTS, seconds });
  const perSecond = answers.length / (performance.now() - begun) * 1000;
  return { ...row, generator: "this process, slower than wrk", per_second: Math.round(perSecond) };
}

/** Requests a second; null where there is no wrk. */
async function wrk(url: string, seconds: number): Promise<number | null> {
  const run = (time: number) =>
    new Deno.Command("wrk", { args: ["-t1", `-c${CLIENTS}`, `-d${time}s`, url] }).output();
  try {
    await run(1);
    const said = new TextDecoder().decode((await run(seconds)).stdout);
    return Math.round(Number(/Requests\/sec:\s+([\d.]+)/.exec(said)![1]));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
