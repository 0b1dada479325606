/**
 * Numerical checks of an engine on factors that are easy and on factors that are not.
 *
 * @module
 */
import { dispose, mul, type Tensor3D, tensor3d, tidy } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { gram, settle } from "@/linalg/mod.ts";
import { eighResidualBound, inverseResidualBound, orthogonalityBound } from "@/linalg/bounds.ts";
import { examples } from "../linalg/matrices.ts";

/** Kinds of matrices, `XᵀX/rows`: so many rows, and the scale of column i of X. */
const KINDS: Readonly<
  Record<string, { rows: (d: number) => number; scale: (i: number, d: number) => number }>
> = {
  gram: { rows: (d) => 2 * d, scale: () => 1 },
  "rank-deficient": { rows: (d) => Math.max(1, d >> 1), scale: () => 1 },
  graded: { rows: (d) => 2 * d, scale: (i, d) => 10 ** (-6 * i / Math.max(1, d - 1)) },
  tiny: { rows: (d) => 2 * d, scale: () => 1e-15 },
  huge: { rows: (d) => 2 * d, scale: () => 1e15 },
};

/** Everything that missed its bound, one line each; residuals are computed exactly. */
export async function check(engine: Engine, sizes: readonly number[]): Promise<string[]> {
  const failures: string[] = [];
  for (const d of sizes) {
    for (const [kind, { rows, scale }] of Object.entries(KINDS)) {
      const matrix = tidy(() => {
        const scales = tensor3d(Float32Array.from({ length: d }, (_, i) => scale(i, d)), [1, 1, d]);
        return gram(mul<Tensor3D>(examples(rows(d), d, d), scales), 1 / rows(d));
      });
      const [values] = await engine.read([matrix]);
      const size = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / d);
      const { keep } = await settle(engine, async (linalg) => {
        const [{ vectors, values: w, reports: [basis] }] = await linalg.eigh([
          { name: kind, matrix },
        ]);
        const [{ inverse, reports: [inverted] }] = await linalg.choleskyInverse([
          { name: kind, matrix, shift: 1e-3 * size },
        ]);
        return { read: [vectors, w, inverse], keep: { basis, inverted } };
      }, { verifyFully: true });
      const { basis, inverted } = keep;
      const say = (what: string, value: number, bound: number) => {
        if (!(value <= bound)) {
          failures.push(
            `${kind} ${d}: ${what} ${value.toExponential(1)} > ${bound.toExponential(1)}`,
          );
        }
      };
      say("residual", basis.residual, eighResidualBound(d));
      say("orthogonality", basis.orthogonality!, orthogonalityBound(d));
      say("inverse residual", inverted.residual, inverseResidualBound(inverted.condition, d));
      for (const [what, { engine: by }] of Object.entries({ eigh: basis, inverse: inverted })) {
        if (by !== engine.kind) console.log(`${kind} ${d}: ${what} rescued in float64`);
      }
      dispose(matrix);
    }
    console.log(`checked ${d}`);
  }
  return failures;
}
