/**
 * `deno task bench:sessions`: a training step through a session, as a client sees it.
 *
 * MLP 784-1024-512-256-128-64-10, batch 512, raw statistics and gradients in safetensors over HTTP, `durability: step` on a
 * store on disk. Each step is split into what its timing says: wait, compute (with the read-back), store (what is left of
 * writing when the update is done) and wire (everything else: encoding, HTTP, decoding on both sides).
 *
 *     deno task bench:sessions [--engines=cpu] [--steps=60] [--every=10] [--save]
 *
 * @module
 */
import { parseArgs } from "node:util";
import {
  decodeDocument,
  type Document,
  encodeDocument,
  MEDIA_TYPES,
  PLAIN_OUTPUT,
  tensorOf,
} from "@/wire/mod.ts";
import { saveReport } from "../report.ts";
import { type RunningServer, startServer } from "../serving/server.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    engines: { type: "string", default: "cpu" },
    steps: { type: "string", default: "60" },
    every: { type: "string", default: "10" },
    save: { type: "boolean", default: false },
  },
});
const STEPS = Number(options.steps), EVERY = Number(options.every);
const SIDES = [784, 1024, 512, 256, 128, 64, 10];
const BATCH = 512;

/** A little more than the largest tensor. */
const noise = Float32Array.from({ length: 1_200_000 }, () => Math.random() - 0.5);

interface Sample {
  readonly kind: string;
  readonly total: number;
  readonly wait: number;
  readonly compute: number;
  readonly store: number;
}

const layers = SIDES.slice(1).map((dOut, l) => ({ name: `fc${l + 1}`, dIn: SIDES[l], dOut }));
const rows: Record<string, unknown>[] = [];
for (const engine of options.engines.split(",") as ("cpu" | "webgpu")[]) {
  const data = await Deno.makeTempDir({ prefix: "curvd-bench-" });
  const server = await startServer(engine, data);
  for (const method of ["kfac", "ekfac"]) {
    for (const mode of ["sync", "async"]) rows.push(...await measure(server, engine, method, mode));
  }
  await server.close();
  await Deno.remove(data, { recursive: true });
}
console.table(rows);
if (options.save) {
  await saveReport("sessions", `deno task bench:sessions ${Deno.args.join(" ")}`.trim(), { rows });
}
Deno.exit(0);

async function measure(server: RunningServer, engine: string, method: string, mode: string) {
  const id = `${method}-${mode}`;
  await send(server, "", {
    id,
    method,
    layers: Object.fromEntries(
      layers.map(({ name, dIn, dOut }) => [name, { kind: "dense", d_in: dIn, d_out: dOut }]),
    ),
    damping: 0.01,
    refresh: { every: EVERY, mode },
  });
  const samples: Sample[] = [];
  let version = 0;
  for (let step = 0; step < STEPS; step++) {
    const { answer, sample } = await timed(server, `/${id}/steps`, document(step));
    const isNew = answer.version !== version;
    version = answer.version as number;
    if (step === 0) continue; // the first refresh is always waited for, and buffers are new
    const kind = mode === "sync"
      ? answer.refreshed ? "step, refresh due" : "step"
      : (answer.age as number) >= EVERY || isNew
      ? "step, refresh under way"
      : "step";
    samples.push({ kind, ...sample });
  }
  for (let i = 0; i < 10; i++) {
    const { sample } = await timed(server, `/${id}/updates`, document(i, false));
    samples.push({ kind: "updates", ...sample });
  }
  await fetch(`${server.url}/v1/sessions/${id}`, { method: "DELETE" });
  return [...new Set(samples.map(({ kind }) => kind))].map((kind) => {
    const of = samples.filter((sample) => sample.kind === kind);
    const share = (part: (sample: Sample) => number) =>
      `${Math.round(100 * median(of.map((sample) => part(sample) / sample.total)))} %`;
    const totals = of.map(({ total }) => total);
    return {
      engine,
      method,
      mode,
      call: kind,
      n: of.length,
      p50_ms: Math.round(quantile(totals, 0.5)),
      p99_ms: Math.round(quantile(totals, 0.99)),
      wait: share(({ wait }) => wait),
      compute: share(({ compute }) => compute),
      store: share(({ store }) => store),
      wire: share(({ total, wait, compute, store }) => total - wait - compute - store),
    };
  });
}

/** A call from encoding its request to holding the answer's arrays. */
async function timed(server: RunningServer, path: string, document: Document) {
  const begun = performance.now();
  const answer = await send(server, path, document);
  const total = performance.now() - begun;
  const { wait_ms, compute_ms, read_ms, store_ms = 0 } = answer.timing as Record<string, number>;
  return {
    answer,
    sample: { total, wait: wait_ms, compute: compute_ms + read_ms, store: store_ms },
  };
}

async function send(server: RunningServer, path: string, document: Document): Promise<Document> {
  const body = new Blob(encodeDocument(document, "safetensors", PLAIN_OUTPUT));
  const response = await fetch(`${server.url}/v1/sessions${path}`, {
    method: "POST",
    body,
    headers: { "content-type": MEDIA_TYPES.safetensors },
  });
  const bytes = await response.bytes();
  if (!response.ok) throw new Error(new TextDecoder().decode(bytes));
  return decodeDocument(bytes, "safetensors");
}

/** Batches that differ, made of noise that is made once. */
function document(step: number, withStatistics = true): Document {
  const take = (shape: number[], salt: number) => {
    const size = shape[0] * shape[1];
    const at = (7919 * (step + salt)) % (noise.length - size);
    return tensorOf(shape, noise.slice(at, at + size));
  };
  return {
    layers: Object.fromEntries(layers.map(({ name, dIn, dOut }, l) => [name, {
      ...(withStatistics
        ? { inputs: take([BATCH, dIn], 3 * l), output_gradients: take([BATCH, dOut], 3 * l + 1) }
        : {}),
      gradient: take([dOut, dIn], 3 * l + 2),
      bias_gradient: tensorOf([dOut], noise.slice(l, l + dOut)),
    }])),
  };
}

function quantile(values: number[], q: number): number {
  const sorted = values.toSorted((x, y) => x - y);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

function median(values: number[]): number {
  return quantile(values, 0.5);
}
