/**
 * `deno task bench:serving`: whole requests as a client sees them, and whether the server still answers while it computes.
 *
 *   mlp set    `POST /v1/inverses` and `/v1/eigenbases` of the twelve factors of 784-1024-512-256-128-64-10 in safetensors, from
 *              encoding the request to holding the answer's arrays, against a peer's in-process loop over the same sizes
 *   health     `GET /health/live` every few milliseconds while a 1024 eigendecomposition runs, p50 and p99
 *
 *     deno task bench:serving [--engines=cpu,webgpu] [--python=python3] [--repeats=7] [--save]
 *
 * @module
 */
import { parseArgs } from "node:util";
import {
  decodeSafetensors,
  type Document,
  encodeDocument,
  MEDIA_TYPES,
  PLAIN_OUTPUT,
  tensorOf,
} from "@/wire/mod.ts";
import { Peer, type PeerName } from "../linalg/peer.ts";
import { type Row, row, table } from "../linalg/row.ts";
import { median } from "../linalg/timing.ts";
import { saveReport } from "../report.ts";
import { type RunningServer, startServer } from "./server.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    engines: { type: "string", default: "cpu,webgpu" },
    python: { type: "string", default: "python3" },
    repeats: { type: "string", default: "7" },
    save: { type: "boolean", default: false },
  },
});
const repeats = Number(options.repeats);

/** d_a (with bias) and d_out of each layer. */
const MLP = [[785, 1024], [1025, 512], [513, 256], [257, 128], [129, 64], [65, 10]];
const BARS = { inverses: 1.25, eigenbases: 1.1 } as const;

const rows: Row[] = [];
const health: Record<string, unknown>[] = [];
for (const engine of options.engines.split(",") as ("cpu" | "webgpu")[]) {
  const server = await startServer(engine);
  if (engine === "cpu") await compareWithPeers(server);
  health.push(await healthWhileComputing(server, engine));
  await server.close();
}
console.log(`\n${table(rows)}\n`);
console.table(health);
if (options.save) {
  await saveReport("serving", `deno task bench:serving ${Deno.args.join(" ")}`.trim(), {
    rows,
    health,
  });
}
Deno.exit(0);

async function compareWithPeers(server: RunningServer): Promise<void> {
  const threads = navigator.hardwareConcurrency;
  const script = decodeURIComponent(new URL("../linalg/peer.py", import.meta.url).pathname);
  const factors = MLP.flat().map(factorOf);
  for (const call of ["inverses", "eigenbases"] as const) {
    const op = call === "inverses" ? "inverse" : "eigh";
    let best: { peer: string; theirs: number } | null = null;
    for (const name of ["scipy", "torch"] as PeerName[]) {
      const peer = await Peer.start(name, { python: options.python, script, threads });
      if (!peer) {
        console.error(`${options.python} has no ${name}: it is left out`);
        continue;
      }
      let theirs = 0;
      for (const n of MLP.flat()) {
        theirs += median((await peer.ask({ op, n, batch: 1, repeats })).ms);
      }
      if (!best || theirs < best.theirs) best = { peer: peer.version, theirs };
      await peer.close();
    }
    const times: number[] = [];
    for (let i = 0; i <= repeats; i++) {
      const started = performance.now();
      await send(server, call, factors);
      if (i > 0) times.push(performance.now() - started);
    }
    if (!best) continue;
    rows.push(row({
      engine: "cpu over HTTP",
      work: `${call} mlp set`,
      ours: median(times),
      ...best,
      bar: BARS[call],
    }));
  }
}

/** One request with all factors, from arrays to arrays. */
async function send(
  server: RunningServer,
  call: "inverses" | "eigenbases",
  factors: readonly Float32Array<ArrayBuffer>[],
): Promise<void> {
  const layers = Object.fromEntries(MLP.map(([dA, dG], l) => [`fc${l}`, {
    A: tensorOf([dA, dA], factors[2 * l]),
    G: tensorOf([dG, dG], factors[2 * l + 1]),
  }]));
  const document: Document = call === "inverses" ? { layers, damping: 1e-3 } : { layers };
  const body = new Blob(
    encodeDocument(document, "safetensors", PLAIN_OUTPUT) as BlobPart[],
  );
  const response = await fetch(`${server.url}/v1/${call}`, {
    method: "POST",
    body,
    headers: { "content-type": MEDIA_TYPES.safetensors },
  });
  if (!response.ok) throw new Error(await response.text());
  decodeSafetensors(new Uint8Array(await response.arrayBuffer()));
}

/** p50 and p99 of `GET /health/live` while eigendecompositions of 1024 follow each other. */
async function healthWhileComputing(
  server: RunningServer,
  engine: string,
): Promise<Record<string, unknown>> {
  const n = 1024, matrix = factorOf(n);
  const document: Document = { layers: { l: { A: tensorOf([n, n], matrix) } } };
  let isComputing = true, computed = 0;
  const leaving = new AbortController(); // software Vulkan takes minutes: its client leaves when all is measured
  const work = (async () => {
    do {
      const response = await fetch(`${server.url}/v1/eigenbases`, {
        method: "POST",
        body: new Blob(encodeDocument(document, "safetensors", PLAIN_OUTPUT) as BlobPart[]),
        headers: { "content-type": MEDIA_TYPES.safetensors },
        signal: leaving.signal,
      });
      if (!response.ok) throw new Error(await response.text());
      await response.arrayBuffer();
      computed++;
    } while (isComputing);
  })().catch((error) => {
    if (!leaving.signal.aborted) throw error;
  });
  const times: number[] = [];
  const until = performance.now() + 15_000;
  while (performance.now() < until) {
    const started = performance.now();
    await (await fetch(`${server.url}/health/live`)).body?.cancel();
    times.push(performance.now() - started);
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
  isComputing = false;
  leaving.abort();
  await work;
  times.sort((x, y) => x - y);
  const at = (share: number) => Number(times[Math.floor(share * (times.length - 1))].toFixed(2));
  return {
    engine,
    eigh_1024_done: computed,
    requests: times.length,
    p50_ms: at(0.5),
    p99_ms: at(0.99),
    max_ms: at(1),
    bar_p99_ms: 50,
  };
}

/** `XᵀX/2n + 0.001 I`, X standard normal. */
function factorOf(n: number): Float32Array<ArrayBuffer> {
  let state = n;
  const uniform = () => ((state = Math.imul(state, 1664525) + 1013904223 | 0) >>> 0) / 2 ** 32;
  const rank = 64; // enough spread for a factor, and quick to make
  const x = Float32Array.from({ length: rank * n }, () => uniform() + uniform() + uniform() - 1.5);
  const factor = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? 0.01 : 0;
      for (let k = 0; k < rank; k++) sum += x[k * n + i] * x[k * n + j] / rank;
      factor[i * n + j] = factor[j * n + i] = sum;
    }
  }
  return factor;
}
