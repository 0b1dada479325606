/**
 * `deno task bench:serving`: whole requests as a client sees them, and whether the server still answers while it computes.
 *
 *   mlp set    `POST /v1/inverses` and `/v1/eigenbases` of the twelve factors of 784-1024-512-256-128-64-10 in safetensors, from
 *              encoding the request to holding the answer's arrays, against a peer's in-process loop over the same sizes; inverses
 *              also as upper triangles, both ways
 *   health     `GET /health/live` every few milliseconds while a 1024 eigendecomposition runs, p50 and p99
 *   batching   64 clients that each invert a 128 pair, against one client and against no batching
 *   overhead   what a request costs beside computing and copying, and the rate of an empty one
 *   overload   four times as many requests as can be answered, for so many seconds
 *
 *     deno task bench:serving [--engines=cpu,webgpu] [--only=batching,overload] [--seconds=120] [--python=python3]
 *       [--repeats=7] [--save]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { decodeSafetensors, type Document, tensorOf, type WireTensor } from "@/wire/mod.ts";
import { Peer, type PeerName } from "../linalg/peer.ts";
import { type Row, row, table } from "../linalg/row.ts";
import { median } from "../linalg/timing.ts";
import { saveReport } from "../report.ts";
import { batchingRow } from "./batching.ts";
import { bodyOf, factorOf, packed, SAFETENSORS_HEADERS } from "./factors.ts";
import { healthRow } from "./health.ts";
import { liveRow, overheadRow } from "./overhead.ts";
import { overloadRow } from "./overload.ts";
import { type RunningServer, startServer } from "./server.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    engines: { type: "string", default: "cpu,webgpu" },
    python: { type: "string", default: "python3" },
    only: { type: "string", default: "mlp,health,batching,overhead,overload" },
    seconds: { type: "string", default: "120" },
    repeats: { type: "string", default: "7" },
    save: { type: "boolean", default: false },
  },
});
const repeats = Number(options.repeats);

/** d_a (with bias) and d_out of each layer. */
const MLP = [[785, 1024], [1025, 512], [513, 256], [257, 128], [129, 64], [65, 10]];
const BARS = { inverses: 1.25, eigenbases: 1.1 } as const;

const only = new Set(options.only.split(","));

const rows: Row[] = [];
const tables: Record<string, Record<string, unknown>[]> = {};
const note = (name: string, row: Record<string, unknown>) => (tables[name] ??= []).push(row);
for (const engine of options.engines.split(",") as ("cpu" | "webgpu")[]) {
  const server = await startServer(engine);
  if (only.has("batching")) note("batching", await batchingRow(engine, server));
  if (engine === "cpu") {
    if (only.has("overhead")) note("overhead", await overheadRow(server));
    if (only.has("overhead")) note("live", await liveRow(server));
    for (const waits of only.has("overload") ? [false, true] : []) {
      note("overload", await overloadRow(server, Number(options.seconds), waits));
    }
    if (only.has("mlp")) await compareWithPeers(server);
  }
  if (only.has("health")) note("health", await healthRow(server, engine));
  await server.close();
}
if (rows.length > 0) console.log(`\n${table(rows)}\n`);
for (const [name, all] of Object.entries(tables)) console.log(name, JSON.stringify(all, null, 2));
if (options.save) {
  const command = `deno task bench:serving ${Deno.args.join(" ")}`.trim();
  await saveReport("serving", command, { rows, ...tables });
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
    if (!best) continue;
    for (const form of call === "inverses" ? ["full", "packed"] as const : ["full"] as const) {
      const tensors = factors.map((factor, at) => {
        const n = MLP.flat()[at];
        const triangle = form === "packed" ? packed(factor, n) : factor;
        return tensorOf(form === "packed" ? [triangle.length] : [n, n], triangle);
      });
      const times: number[] = [];
      for (let i = 0; i <= repeats; i++) {
        const started = performance.now();
        await send(server, call, tensors, form);
        if (i > 0) times.push(performance.now() - started);
      }
      rows.push(row({
        engine: "cpu over HTTP",
        work: `${call} mlp set${form === "packed" ? ", packed" : ""}`,
        ours: median(times),
        ...best,
        bar: BARS[call],
      }));
    }
  }
}

/** One request with all factors, from arrays to arrays. */
async function send(
  server: RunningServer,
  call: "inverses" | "eigenbases",
  tensors: readonly WireTensor[],
  symmetric: "full" | "packed",
): Promise<void> {
  const layers = Object.fromEntries(MLP.map((_, l) => [`fc${l}`, {
    A: tensors[2 * l],
    G: tensors[2 * l + 1],
  }]));
  const document: Document = call === "inverses"
    ? { layers, damping: 1e-3, output: { symmetric } }
    : { layers };
  const response = await fetch(`${server.url}/v1/${call}`, {
    method: "POST",
    body: bodyOf(document),
    headers: SAFETENSORS_HEADERS,
  });
  if (!response.ok) throw new Error(await response.text());
  decodeSafetensors(new Uint8Array(await response.arrayBuffer()));
}
