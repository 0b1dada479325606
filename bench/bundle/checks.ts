/**
 * Numerical checks of an engine on factors that are easy and on factors that are not.
 *
 * @module
 */
import { tensor3d } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { settle } from "@/linalg/mod.ts";
import { eighResidualBound, inverseResidualBound, orthogonalityBound } from "@/linalg/bounds.ts";

/** Kinds of matrices, `[d, d]` row-major. */
const KINDS: Readonly<Record<string, (d: number) => Float32Array<ArrayBuffer>>> = {
  gram: (d) => gramOf(d, 2 * d, () => 1),
  "rank-deficient": (d) => gramOf(d, Math.max(1, d >> 1), () => 1),
  graded: (d) => gramOf(d, 2 * d, (i) => 10 ** (-6 * i / Math.max(1, d - 1))),
  tiny: (d) => gramOf(d, 2 * d, () => 1e-15),
  huge: (d) => gramOf(d, 2 * d, () => 1e15),
};

/** Everything that missed its bound, one line each; residuals are computed exactly. */
export async function check(engine: Engine, sizes: readonly number[]): Promise<string[]> {
  const failures: string[] = [];
  for (const d of sizes) {
    for (const [kind, make] of Object.entries(KINDS)) {
      const values = make(d);
      const scale = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / d);
      const { keep } = await settle(engine, async (linalg) => {
        const matrix = tensor3d(values, [1, d, d]);
        const [{ vectors, values: w, reports: [basis] }] = await linalg.eigh([
          { name: kind, matrix },
        ]);
        const [{ inverse, reports: [inverted] }] = await linalg.choleskyInverse([
          { name: kind, matrix, shift: 1e-3 * scale },
        ]);
        return { read: [vectors, w, inverse, matrix], keep: { basis, inverted } };
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
    }
    console.log(`checked ${d}`);
  }
  return failures;
}

/** `XᵀX/rows`, column i of X scaled by `scale(i)`. */
function gramOf(d: number, rows: number, scale: (i: number) => number): Float32Array<ArrayBuffer> {
  let state = d;
  const uniform = () => ((state = Math.imul(state, 1664525) + 1013904223 | 0) >>> 0) / 2 ** 32;
  const x = Float64Array.from(
    { length: rows * d },
    (_, at) => (uniform() + uniform() + uniform() - 1.5) * 2 * scale(at % d),
  );
  const gram = new Float32Array(d * d);
  for (let i = 0; i < d; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < rows; k++) sum += x[k * d + i] * x[k * d + j];
      gram[i * d + j] = gram[j * d + i] = sum / rows;
    }
  }
  return gram;
}
