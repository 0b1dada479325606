/**
 * `deno task bench:serving`: whole requests as a client sees them, and whether the server still answers while it computes.
 *
 *   mlp set    `POST /v1/inverses` and `/v1/eigenbases` of the twelve factors of 784-1024-512-256-128-64-10 in safetensors, from
 *              encoding the request to holding the answer's arrays, against a peer's in-process loop over the same sizes
 *   health     `GET /health/live` every few milliseconds while a 1024 eigendecomposition runs, p50 and p99
 *   batching   64 clients that each invert a 128 pair, against one client and against no batching
 *   overhead   what a request costs beside computing and copying, and the rate of an empty one
 *   overload   four times as many requests as can be answered, for so many seconds
 *
 *     deno task bench:serving [--engines=cpu,webgpu] [--only=batching,overload] [--seconds=120] [--python=python3]
 *       [--save]
 *
 * @module
 */
import { parseArgs } from "node:util";
import { type Row, table } from "../linalg/row.ts";
import { saveReport } from "../report.ts";
import { batchingRow } from "./batching.ts";
import { healthRow } from "./health.ts";
import { mlpRows } from "./mlp.ts";
import { liveRow, overheadRow } from "./overhead.ts";
import { overloadRow } from "./overload.ts";
import { startServer } from "./server.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    engines: { type: "string", default: "cpu,webgpu" },
    python: { type: "string", default: "python3" },
    only: { type: "string", default: "mlp,health,batching,overhead,overload" },
    seconds: { type: "string", default: "120" },
    save: { type: "boolean", default: false },
  },
});

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
    if (only.has("mlp")) rows.push(...await mlpRows(server, options.python));
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
