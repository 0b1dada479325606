/** Drift as what makes a refresh due: measured in the preconditioner's own basis, or against a copy where it has none. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import type { Document } from "@/wire/mod.ts";
import { batch, DAMPING, LAYERS } from "../sessions/batches.ts";
import { withSessions } from "../sessions/support.ts";
import { cpuTest, type EngineTest } from "../support/cpu.ts";
import { gpuTest } from "../support/gpu.ts";

const METHODS: Record<string, Document> = {
  ekfac: { method: "ekfac" },
  tekfac: { method: "tekfac" },
  "kfac, exact": { method: "kfac", damping_rule: "exact" },
  "kfac, factored": { method: "kfac" },
};

function suite(test: EngineTest): void {
  test("a refresh is due when an average has drifted further than the bound, and at no other time", (engine) =>
    withSessions(engine, async ({ expect }) => {
      for (const [name, session] of Object.entries(METHODS)) {
        const create = { ...session, layers: LAYERS, damping: DAMPING, decay: 0.9 };
        // what the averages drift in three steps, told by a session that bounds nothing in effect
        await expect("POST", "", { ...create, id: "told", refresh: { every: null, drift: 1e9 } });
        const drifts: number[] = [];
        for (const step of [0, 1, 2, 3]) {
          await expect("POST", "/told/steps", { layers: batch(step) });
          const { layers } = await expect("GET", "/told");
          const all = Object.values(layers!).flatMap(({ drift }) =>
            Object.values(drift as Record<string, number>)
          );
          drifts.push(Math.max(...all));
        }
        // the bound lies just under the drift of one step: due then, if not before
        const bound = 0.999 * Math.max(...drifts);
        const due = drifts.findIndex((drift) => drift > bound);
        ok(due > 0, `${name}: ${drifts}`);
        await expect("POST", "", {
          ...create,
          id: "bound",
          refresh: { every: null, drift: bound },
        });
        const versions: unknown[] = [];
        for (let step = 0; step <= due; step++) {
          versions.push((await expect("POST", "/bound/steps", { layers: batch(step) })).version);
        }
        deepEqual(versions, [...Array(due).fill(1), 2], `${name}: ${drifts}`);
        for (const id of ["told", "bound"]) await expect("DELETE", `/${id}`);
      }
    }));
}

cpuTest(
  "a session whose preconditioner has a basis keeps no copy of its averages to know their drift",
  (engine) =>
    withSessions(engine, async ({ expect, host }) => {
      for (const [method, isCopied] of [["ekfac", false], ["kfac", true]] as const) {
        const bytes: number[] = [];
        for (const drift of [null, 1e9]) {
          const refresh = { every: null, drift };
          await expect("POST", "", { id: "s", method, layers: LAYERS, damping: DAMPING, refresh });
          for (const step of [0, 1]) await expect("POST", "/s/steps", { layers: batch(step) });
          bytes.push(host.bytes());
          await expect("DELETE", "/s");
        }
        equal(bytes[1] > bytes[0], isCopied, method);
      }
    }),
);

suite(cpuTest);
suite((name, fn) => gpuTest(`${name}, webgpu`, fn));
