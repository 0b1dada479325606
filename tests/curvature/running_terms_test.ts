/** Running averages of two terms: the first stays what can be inverted. */
import { tensor1d, tensor3d } from "@tensorflow/tfjs-core";
import { ok } from "node:assert/strict";
import { layerMethod, type Samples, settleOptions } from "@/curvature/mod.ts";
import type { KroneckerTerms } from "../../src/curvature/pairs/term.ts";
import { runningDecay } from "../../src/curvature/running_average.ts";
import type { RequestLayer } from "../support/calls.ts";
import { prepared, withSamples } from "../support/approximations.ts";
import { cpuTest } from "../support/cpu.ts";
import { type Dense, eigh, norm } from "../support/dense.ts";
import { denseLayer } from "../support/layer_cases.ts";

const BATCHES = 40, D_IN = 8, D_OUT = 6;
const SIDES = [D_IN + 1, D_OUT, D_IN + 1, D_OUT]; // A₁, G₁, A₂, G₂

for (const name of ["deflation", "lanczos"] as const) {
  cpuTest(
    `the first term of ${name} stays positive semidefinite over uneven batches`,
    async (engine) => {
      let terms: Dense[] | undefined;
      for (let k = 1; k <= BATCHES; k++) {
        const layer = unevenLayer(k);
        const method = layerMethod(name, prepared(layer).layer);
        terms = await withSamples<Samples>(engine, layer, async (samples, linalg) => {
          const context = { name: "l", linalg, options: settleOptions(name, { dampings: [1e-3] }) };
          const found = terms
            ? await method.average!(onDevice(terms), samples, runningDecay(k, 0.9), context)
            : await method.observe(samples, context);
          return (found as KroneckerTerms).terms.flatMap(({ A, G }) => [A, G]);
        });
        for (const M of terms.slice(0, 2)) {
          const { values } = await eigh(M);
          ok(Math.min(...values) >= -1e-6 * norm(M), `batch ${k}: ${Math.min(...values)}`);
        }
      }
    },
  );
}

/** Few examples, and a few large entries: what a batch adds is far from what the terms hold. */
function unevenLayer(k: number): RequestLayer {
  const layer = denseLayer({ n: k === 1 ? 3 : 1, dIn: D_IN, dOut: D_OUT, seed: 3000 + 7 * k });
  for (const { data } of [layer.inputs!, layer.output_gradients!] as { data: Float32Array }[]) {
    data.forEach((x, at) => data[at] = x ** 3);
  }
  return layer;
}

function onDevice(terms: readonly Dense[]): KroneckerTerms {
  const [A1, G1, A2, G2] = terms.map((M, at) =>
    tensor3d(Float32Array.from(M), [1, SIDES[at], SIDES[at]])
  );
  const sigma = tensor1d([1]);
  return { terms: [{ A: A1, G: G1, sigma }, { A: A2, G: G2, sigma }], iterations: 0 };
}
