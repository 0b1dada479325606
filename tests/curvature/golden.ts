/**
 * The golden vectors on one engine: every file, every case, every expected number.
 *
 * A number that is not compared is named with its reason ({@linkcode OMITTED}).
 *
 * @module
 */
import { deepStrictEqual as deepEqual } from "node:assert/strict";
import type { EngineTest } from "../support/cpu.ts";
import { expectGolden, goldenCases, goldenFiles } from "../support/golden.ts";
import { CALLS } from "./golden_calls.ts";
import { FUNCTIONS, OMITTED } from "./golden_functions.ts";
import type { Layout } from "./golden_layers.ts";
import { RUNNING } from "./golden_running.ts";

/** Files of which a part is compared. */
const PARTS: Record<string, (x: ArrayLike<number>) => ArrayLike<number>> = {
  // its M and U are any matrices; curvature is symmetric, and so are the maps' arguments and images
  rearranged_matvec: (x) => {
    const d = Math.sqrt(x.length);
    return Array.from(x, (value, at) => (value + x[(at % d) * d + Math.floor(at / d)]) / 2);
  },
};

/** Files whose layers are dense and carry a gradient: asked in both layouts. */
const BOTH_LAYOUTS: ReadonlySet<string> = new Set([
  "kfac_update",
  "ekfac",
  "foof",
  "mbf",
  "tkfac",
  "two_kron_solve",
  "kpsvd_update",
  "pinn",
  "block_tridiagonal",
  "two_level",
]);

export function goldenSuite(test: EngineTest): void {
  for (const file of goldenFiles()) {
    const layouts: Layout[] = BOTH_LAYOUTS.has(file) ? ["oi", "io"] : ["oi"];
    for (const layout of layouts) {
      const inLayout = layouts.length > 1 ? `, layout ${layout}` : "";
      for (const golden of goldenCases(file)) {
        test(`golden ${file} ${golden.id}${inLayout} is met`, async (engine) => {
          const functions = FUNCTIONS[file] ?? RUNNING[file];
          const byFunctions = await functions?.(engine, golden) ?? {};
          const byCalls = await CALLS[file]?.(engine, golden, layout) ?? {};
          const met = { ...OMITTED[file], ...byFunctions, ...byCalls };
          const unmet = Object.keys(golden.expected).filter((key) => !(key in met));
          deepEqual(unmet, [], "expected numbers that nothing computes");
          for (const [key, expected] of Object.entries(golden.expected)) {
            for (const results of [byFunctions, byCalls]) {
              if (key in results) expectGolden(key, results[key], expected, PARTS[file]);
            }
          }
        });
      }
    }
  }
}
