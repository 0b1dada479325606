/**
 * `deno task bench:sessions`: a training step through a session, as a client sees it.
 *
 * MLP 784-1024-512-256-128-64-10, batch 512, raw statistics and gradients in safetensors over HTTP, `durability: step` on a
 * store on disk. Each call is split into what its timing says: wait, compute (with the read-back), store (what is left of
 * writing when the update is done) and wire (everything else: encoding, HTTP, decoding on both sides).
 *
 *     deno task bench:sessions [--engines=cpu] [--methods=kfac,ekfac] [--steps=60] [--every=10] [--save]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { saveReport } from "../report.ts";
import { type RunningServer, startServer } from "../serving/server.ts";
import { batch, LAYERS, quantile, type Sample, send, timed } from "./client.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    engines: { type: "string", default: "cpu" },
    methods: { type: "string", default: "kfac,ekfac" },
    steps: { type: "string", default: "60" },
    every: { type: "string", default: "10" },
    save: { type: "boolean", default: false },
  },
});
const STEPS = Number(options.steps), EVERY = Number(options.every);
const CALLS = 20;

interface Timed extends Sample {
  readonly kind: string;
}

const rows: Record<string, unknown>[] = [];
const ratios: Record<string, unknown>[] = [];
for (const engine of options.engines.split(",") as ("cpu" | "webgpu")[]) {
  const data = await Deno.makeTempDir({ prefix: "curvd-bench-" });
  const server = await startServer(engine, data);
  try {
    for (const method of options.methods.split(",")) {
      for (const mode of ["sync", "async"]) {
        const samples = await measure(server, method, mode);
        rows.push(...rowsOf(samples).map((row) => ({ engine, method, mode, ...row })));
        ratios.push({ engine, method, mode, ...ratiosOf(samples) });
      }
    }
    console.table(rows);
    console.table(ratios);
  } finally {
    await server.close();
    await Deno.remove(data, { recursive: true });
  }
}
if (options.save) {
  const command = `deno task bench:sessions ${Deno.args.join(" ")}`.trim();
  await saveReport("sessions", command, { rows, ratios });
}
Deno.exit(0);

async function measure({ url }: RunningServer, method: string, mode: string): Promise<Timed[]> {
  const id = `${method}-${mode}`;
  const refresh = { every: EVERY, mode };
  await send(url, "", { id, method, layers: LAYERS, damping: 0.01, refresh } as never);
  const samples: Timed[] = [];
  let version = 0;
  for (let step = 0; step < STEPS; step++) {
    const { answer, sample } = await timed(
      url,
      `/${id}/steps`,
      batch(step, "statistics", "gradients"),
    );
    const isNew = answer.version !== version;
    version = answer.version as number;
    if (step === 0) continue; // the first refresh is always waited for, and buffers are new
    const isBeside = mode === "async" && ((answer.age as number) >= EVERY || isNew);
    const kind = answer.refreshed
      ? "step, refresh due"
      : isBeside
      ? "step, refresh under way"
      : "step";
    samples.push({ kind, ...sample });
  }
  for (let i = 0; i < CALLS; i++) {
    const { sample } = await timed(url, `/${id}/updates`, batch(i, "gradients"));
    samples.push({ kind: "updates", ...sample });
  }
  // statistics outside a step would make a refresh due in a measure that is not of refreshes
  await fetch(`${url}/v1/sessions/${id}`, {
    method: "PATCH",
    body: JSON.stringify({ refresh: { every: null } }),
    headers: { "content-type": "application/json" },
  });
  for (let i = 0; i < CALLS; i++) {
    const { sample } = await timed(url, `/${id}/statistics`, batch(i, "statistics"));
    samples.push({ kind: "statistics", ...sample });
  }
  samples.push(...await measureLocally(url, id));
  await fetch(`${url}/v1/sessions/${id}`, { method: "DELETE" });
  return samples;
}

/** Preconditioning by the client itself: a download a version; between versions only whether there is a new one, if at all. */
async function measureLocally(url: string, id: string): Promise<Timed[]> {
  const path = `${url}/v1/sessions/${id}/preconditioner`;
  const accept = { accept: "application/vnd.safetensors" };
  const begun = performance.now();
  const response = await fetch(path, { headers: accept });
  await response.bytes();
  const total = performance.now() - begun;
  const asked = performance.now();
  const etag = response.headers.get("etag")!;
  const again = await fetch(path, { headers: { ...accept, "if-none-match": etag } });
  await again.bytes();
  if (again.status !== 304) throw new Error(`the same version was sent again: ${again.status}`);
  const isAsked = performance.now() - asked;
  const none = { wait: 0, compute: 0, store: 0 };
  return [
    { kind: "preconditioner, once a version", total, ...none },
    { kind: "preconditioner, not modified", total: isAsked, ...none },
  ];
}

function rowsOf(samples: readonly Timed[]) {
  return [...new Set(samples.map(({ kind }) => kind))].map((kind) => {
    const of = samples.filter((sample) => sample.kind === kind);
    const share = (part: (sample: Sample) => number) =>
      Math.round(100 * quantile(of.map((sample) => part(sample) / sample.total), 0.5));
    const totals = of.map(({ total }) => total);
    return {
      call: kind,
      n: of.length,
      p50_ms: Math.round(10 * quantile(totals, 0.5)) / 10,
      p99_ms: Math.round(10 * quantile(totals, 0.99)) / 10,
      wait_percent: share(({ wait }) => wait),
      compute_percent: share(({ compute }) => compute),
      store_percent: share(({ store }) => store),
      wire_percent: share(({ total, wait, compute, store }) => total - wait - compute - store),
    };
  });
}

/** What the bars are about: the part of a step that is not computing, and what a refresh beside it costs. */
function ratiosOf(samples: readonly Timed[]) {
  const of = (...kinds: string[]) => samples.filter(({ kind }) => kinds.includes(kind));
  const alone = of("step"), beside = of("step, refresh under way");
  const p99 = (some: readonly Timed[]) => quantile(some.map(({ total }) => total), 0.99);
  const overhead = alone.map(({ total, wait, compute }) => 1 - (wait + compute) / total);
  return {
    wire_http_store_percent_of_a_step: Math.round(100 * quantile(overhead, 0.5)),
    p99_under_refresh_by_p99: beside.length > 0
      ? Math.round(100 * p99(beside) / p99(alone)) / 100
      : null,
  };
}
