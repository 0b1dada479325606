/**
 * The linear algebra on a hardware adapter: numerical checks first, then the rows against torch on the same card, then the
 * time of every value that the tuning table may hold.
 *
 * Runs from the archive of build.ts on an isolated machine, or here:
 *
 *     deno run -A bench/bundle/gpu_bench.ts [--smallest] [--only=checks,rows,sets,gemm,sweep] [--seconds=1]
 *
 * Writes gpu-results.json to the working folder; ends with 1 where a check fails. Torch rows need python3 with a CUDA torch
 * and peer.py beside this file.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { add, dispose, matMul, mul, reshape, slice, tidy } from "@tensorflow/tfjs-core";
import { openEngine } from "@/engine/mod.ts";
import { settle, type Stack } from "@/linalg/mod.ts";
import { contest, here } from "../linalg/contest.ts";
import { factor } from "../linalg/matrices.ts";
import { Peer, type PeerOperation } from "../linalg/peer.ts";
import { type Row, row, table } from "../linalg/row.ts";
import { median } from "../linalg/timing.ts";
import { MLP_SIZES, RESNET50_SIZES } from "./factor_sets.ts";
import { check } from "./checks.ts";
import { sweep } from "./sweep.ts";
import { type Operation, solveAll } from "./work.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    smallest: { type: "boolean", default: false },
    only: { type: "string", default: "checks,rows,sets,gemm,sweep" },
    seconds: { type: "string", default: "1" }, // of repeats a turn
    peer: { type: "string", default: "peer.py" },
    python: { type: "string", default: "python3" },
  },
});

const only = new Set(options.only.split(","));
const seconds = Number(options.seconds);

const engine = await openEngine({ engine: "webgpu", blas: "auto" });
const { adapter, tuning, features } = engine.facts;
console.log(JSON.stringify({ ...adapter, ...tuning }), features.join(" "));
const CHECKED = options.smallest ? [2, 33, 65] : [1, 2, 33, 64, 127, 128, 129, 512, 1024, 2047];
const failures = only.has("checks") ? await check(engine, CHECKED) : [];
if (only.has("checks")) {
  console.log(failures.length === 0 ? "all checks hold" : failures.join("\n"));
}

const peer = await Peer.start("torch", {
  python: options.python,
  script: options.peer,
  threads: 1,
  device: "cuda",
});
if (!peer) console.log("no torch with CUDA here: rows stand without a peer");

const rows: Row[] = [];
const sets: [string, readonly number[], { inverse: number; eigh: number | null }][] = [
  ["mlp", MLP_SIZES, { inverse: 7.8, eigh: 63 }],
  ["resnet50", RESNET50_SIZES, { inverse: 194, eigh: null }],
];
const SIZES = options.smallest ? [64, 128] : [64, 128, 256, 512, 1024, 2048, 4096];
if (only.has("rows")) {
  for (const n of SIZES) {
    await measure("inverse", 1, n, n === 1024 ? 1 : undefined);
    await measure("eigh", 1, n, n === 1024 ? 1.5 : undefined);
  }
  if (!options.smallest) await measure("eigh", 64, 256, 0.5);
  for (const n of options.smallest ? [128] : [256, 512, 1024]) await refresh(n);
}
if (only.has("sets") && !options.smallest) {
  for (const [name, sizes, published] of sets) await measureSet(name, sizes, published);
}
const gemm = only.has("gemm") ? await gemmTeraflops(options.smallest ? 256 : 4096) : null;
if (gemm !== null) console.log(`GEMM ${gemm.toFixed(2)} TFLOP/s`);
console.log(`\n${table(rows)}\n`);
await peer?.close();
await engine.close();

const largest = options.smallest ? 64 : 2048;
const timings = only.has("sweep") ? await sweep(engine.float64, largest, seconds / 4) : [];
await Deno.writeTextFile(
  "gpu-results.json",
  JSON.stringify(
    { facts: engine.facts, failures, rows, gemm_tflops: gemm, sweep: timings },
    null,
    1,
  ),
);
Deno.exit(failures.length === 0 ? 0 : 1);

async function measure(
  operation: Operation,
  batch: number,
  n: number,
  bar?: number,
): Promise<void> {
  const matrices = Array.from({ length: batch }, (_, i) => factor(n, n + i));
  const [{ residual }] = await solveAll(engine, operation, matrices);
  const result = await contest(
    here("curvd", () => solveAll(engine, operation, matrices)),
    peer ? [theirs(operation, n, batch)] : [],
    { seconds, most: 50 },
  );
  dispose(matrices);
  push(`${operation} ${batch > 1 ? `${batch}×` : ""}${n}`, result, residual, bar);
}

function theirs(op: PeerOperation, n: number, batch: number) {
  return {
    name: peer!.version,
    times: async (repeats: number) => (await peer!.ask({ op, n, batch, repeats })).ms,
  };
}

/** A factor that moved by a decay of 0.95, its last basis at hand. */
async function refresh(n: number): Promise<void> {
  const before = factor(n, n), batch = factor(n, 2 * n);
  const after = tidy(() => add(mul(before, 0.95), mul(batch, 0.05)) as Stack);
  const basis = async (matrix: Stack, warmStart?: Stack) => {
    const { keep } = await settle(engine, async (linalg) => {
      const [{ vectors, values }] = await linalg.eigh([{ name: "A", matrix, warmStart }]);
      return { read: [values], keep: vectors };
    });
    return keep;
  };
  const old = await basis(before);
  const ours = here("curvd", async () => dispose(await basis(after, old)));
  const result = await contest(ours, peer ? [theirs("eigh", n, 1)] : [], { seconds, most: 30 });
  push(`refresh ${n}`, result, undefined, n === 1024 ? 0.4 : undefined);
  dispose([before, batch, after, old]);
}

/** A net's factors in one request; against the figure published for a card, and torch's loop here. */
async function measureSet(
  name: string,
  sizes: readonly number[],
  published: { inverse: number; eigh: number | null },
): Promise<void> {
  const matrices = sizes.map((n, i) => factor(n, n + i));
  for (const operation of ["inverse", "eigh"] as const) {
    let loop = NaN;
    if (peer) {
      loop = 0;
      for (const n of new Set(sizes)) {
        const times = (await peer.ask({ op: operation, n, batch: 1, repeats: 3 })).ms;
        loop += median(times) * sizes.filter((each) => each === n).length;
      }
    }
    const result = await contest(here("curvd", () => solveAll(engine, operation, matrices)), [], {
      seconds,
      most: 10,
    });
    const limit = published[operation];
    push(`${operation} ${name} set`, { ...result, peer: "torch loop", theirs: loop });
    if (limit !== null) {
      push(
        `${operation} ${name} set`,
        { ...result, peer: "published A6000", theirs: limit },
        undefined,
        1,
      );
    }
  }
  dispose(matrices);
}

async function gemmTeraflops(n: number): Promise<number> {
  const x = factor(n, 1), products = 4;
  const run = async () => {
    const results = Array.from({ length: products }, () => matMul(x, x));
    const end = tidy(() => slice(reshape(results[products - 1], [-1]), 0, 1));
    await engine.read([end]);
    dispose([...results, end]);
  };
  const { ours } = await contest(here("gemm", run), [], { seconds, most: 20 });
  dispose(x);
  return products * 2 * n ** 3 / (ours * 1e9);
}

function push(
  work: string,
  result: { ours: number; peer: string; theirs: number },
  residual?: number,
  bar?: number,
): void {
  const each = row({ engine: "webgpu", work, ...result, residual, bar });
  rows.push(each);
  console.log(table([each]).split("\n")[1]);
}
