import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { Metrics, sizeClassOf } from "../../src/observe/mod.ts";
import { tensorOf } from "../../src/wire/mod.ts";

const IDLE = { inside: 0, waiting: 0, inWork: 0, reservedBytes: 0 };

/** The value of one sample. */
async function sample(metrics: Metrics, name: string): Promise<number> {
  const line = (await metrics.text(IDLE)).split("\n").find((line) => line.startsWith(`${name} `));
  return Number(line?.split(" ")[1]);
}

Deno.test("a request's size is its largest side, to the next power of two", () => {
  const of = (...shape: number[]) =>
    sizeClassOf({ layers: { a: { A: tensorOf([1, 1], new Float32Array(1)), G: { shape } } } });
  deepEqual([of(3, 3), of(64, 64), of(65, 65), of(99_999)], ["4", "64", "128", "8192"]);
  equal(sizeClassOf({}), "0");
  equal(sizeClassOf({ layers: { a: { kind: "dense", nothing: null } } }), "0");
});

Deno.test("timing is told in seconds, by call and size", async () => {
  const metrics = new Metrics();
  metrics.computed("inverses", "512", { wait_ms: 20, compute_ms: 30, read_ms: 10 });
  metrics.computed("session-steps", "0", { wait_ms: 1, compute_ms: 1, store_ms: 5 });
  equal(await sample(metrics, 'curvd_queue_wait_seconds_sum{call="inverses"}'), 0.02);
  equal(await sample(metrics, 'curvd_compute_seconds_sum{call="inverses",size="512"}'), 0.04);
  equal(await sample(metrics, 'curvd_store_seconds_sum{call="session-steps"}'), 0.005);
});

Deno.test("residuals and rescues are counted of every factor and group", async () => {
  const metrics = new Metrics();
  metrics.diagnosed("eigenbases", {
    fc1: { A: { residual: 1e-6, engine: "blas" }, G: [{ residual: 2e-6, engine: "float64" }] },
    fc2: undefined,
  });
  equal(await sample(metrics, 'curvd_residual_count{call="eigenbases"}'), 2);
  equal(await sample(metrics, 'curvd_rescues_total{call="eigenbases"}'), 1);
});

Deno.test("spills go on counting when a new Worker counts from nothing", async () => {
  const metrics = new Metrics();
  const memory = { tensors: 1, bytes: 4 };
  for (const spilled of [2, 3, 0, 1]) {
    metrics.vitals({ memory, sessions: { known: 5, inMemory: 1, bytes: 4, spilled } });
  }
  equal(await sample(metrics, "curvd_session_spills_total"), 4);
});

Deno.test("the Grafana dashboard asks for nothing that is not there", async () => {
  const file = new URL("../../src/deploy/grafana/curvd.json", import.meta.url);
  const dashboard = JSON.parse(await Deno.readTextFile(file));
  const queries: string[] = dashboard.panels.flatMap((panel: { targets: { expr: string }[] }) =>
    panel.targets.map(({ expr }) => expr)
  );
  queries.push(
    ...dashboard.templating.list.flatMap(({ definition }: { definition?: string }) =>
      definition ?? []
    ),
  );
  ok(queries.length >= 18);

  // in a process of its own: what prom-client starts for a process lasts as long
  const script = `import { Metrics } from "@/observe/mod.ts";
    const metrics = new Metrics();
    metrics.addProcess();
    console.log(await metrics.text(${JSON.stringify(IDLE)}));
    Deno.exit();`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", "--ext=ts", script],
    cwd: new URL("../../", import.meta.url),
  }).output();
  const text = new TextDecoder().decode(stdout);
  const types = new Map(
    [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]),
  );
  ok(types.size > 25, text);
  for (const query of queries) {
    const names = query.match(/\b(curvd|process|nodejs)_\w+/g) ?? [];
    ok(names.length > 0, query);
    for (const name of names) {
      const [, base, part] = /^(.*?)(_bucket|_sum|_count)?$/.exec(name)!;
      equal(part === undefined || types.get(base) === "histogram", true, name);
      ok(types.has(base), `${name} in ${query}`);
      match(types.get(base)!, part ? /histogram/ : /counter|gauge/);
    }
  }
});
