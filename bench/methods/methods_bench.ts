/**
 * Every method on a dense 1024 × 1024 layer, on a 256 → 256 3 × 3 convolution and, where it couples layers, on three of them, at batch
 * 128: the time of its statistics, its refresh and its update, and how they relate to K-FAC's.
 *
 *     deno task bench:methods [--engine=auto|cpu|webgpu] [--quick] [--problem=conv2d] [--methods=lanczos,deflation] [--save]
 *
 * `--problem` takes the problems whose names begin so; `--methods` some methods, and with them K-FAC and EKFAC, which the rest is
 * relative to.
 *
 * @module
 */
import { parseArgs } from "node:util";
import type { MethodName } from "@/curvature/mod.ts";
import { openEngine } from "@/engine/mod.ts";
import { saveReport } from "../report.ts";
import { BATCH, problemsOf } from "./problems.ts";
import { scalingsOf, type Stages, stagesOf } from "./stages.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    engine: { type: "string", default: "auto" },
    quick: { type: "boolean", default: false },
    problem: { type: "string", default: "" },
    methods: { type: "string" },
    save: { type: "boolean", default: false },
  },
});

interface Row {
  readonly problem: string;
  readonly method: MethodName;
  readonly milliseconds: Stages;
  /** Relative to K-FAC's on the same problem, and for the whole (statistics and refresh) to EKFAC's. */
  readonly relative: Stages & { readonly wholeRefreshToEkfac: number | null };
}

const engine = await openEngine({
  engine: options.engine as "auto" | "cpu" | "webgpu",
  blas: "auto",
});
const chosen = options.methods && ["kfac", "ekfac", ...options.methods.split(",")];
const problems = problemsOf(options.quick ? "quick" : "full")
  .filter(({ name }) => name.startsWith(options.problem));
const rows: Row[] = [];
const scalings: Record<string, { factors: number; scalings: number; ratio: number }> = {};
for (const problem of problems) {
  console.log(`\n${problem.name}, batch ${BATCH}, engine ${engine.kind}; ms (relative to kfac)`);
  console.log(
    "method             statistics           refresh            update   whole refresh to ekfac's",
  );
  const known = new Map<MethodName, Stages>();
  for (const method of problem.methods) {
    if (chosen && !chosen.includes(method)) continue;
    const stages = await stagesOf(engine, problem, method);
    known.set(method, stages);
    const row = rowOf(problem.name, method, stages, known);
    rows.push(row);
    const cells = (["statistics", "refresh", "update"] as const).map((stage) =>
      `${stages[stage].toFixed(1).padStart(8)} (${row.relative[stage].toFixed(2).padStart(5)})`
    );
    const whole = row.relative.wholeRefreshToEkfac?.toFixed(2) ?? "";
    console.log(`${method.padEnd(16)} ${cells.join("  ")}  ${whole}`);
  }
  if (problem.layers.length > 1) continue;
  const times = await scalingsOf(engine, problem);
  const ratio = times.scalings / times.factors;
  scalings[problem.name] = { ...times, ratio };
  console.log(
    `EKFAC's scalings in a known basis: ${times.scalings.toFixed(1)} ms, ${ratio.toFixed(2)} of ` +
      `the factors' ${times.factors.toFixed(1)} ms`,
  );
}
if (options.save) {
  await saveReport(
    `methods-${engine.kind}`,
    `deno task bench:methods ${Deno.args.join(" ")}`,
    { engine: engine.facts, batch: BATCH, rows, scalings },
  );
}
await engine.close();
Deno.exit(0);

function rowOf(
  problem: string,
  method: MethodName,
  milliseconds: Stages,
  known: ReadonlyMap<MethodName, Stages>,
): Row {
  const kfac = known.get("kfac")!, ekfac = known.get("ekfac");
  const whole = ({ statistics, refresh }: Stages) => statistics + refresh;
  return {
    problem,
    method,
    milliseconds,
    relative: {
      statistics: milliseconds.statistics / kfac.statistics,
      refresh: milliseconds.refresh / kfac.refresh,
      update: milliseconds.update / kfac.update,
      wholeRefreshToEkfac: ekfac ? whole(milliseconds) / whole(ekfac) : null,
    },
  };
}
