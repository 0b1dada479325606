/** The calls that measure instead of preconditioning: Kronecker terms, errors of approximations, plans. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { call, callLayer, numbers, refused } from "../support/calls.ts";
import { cpuTest } from "../support/cpu.ts";
import { distance, norm, singularValues } from "../support/dense.ts";
import { denseBlocks, fisherOf } from "../support/dense_fisher.ts";
import { approximationOf } from "../support/approximations.ts";
import { convLayer, denseLayer, embeddingLayer } from "../support/layer_cases.ts";
import { denseTerms, withoutGradient } from "../curvature/golden_layers.ts";
import { expectClose } from "../curvature/dense_oracle.ts";

const LAYERS = {
  dense: denseLayer({ n: 9, dIn: 4, dOut: 3, seed: 951 }),
  sequence: denseLayer({ n: 7, s: 3, dIn: 3, dOut: 2, seed: 952 }),
  conv2d: convLayer({ n: 6, channels: 2, filters: 2, image: [3, 3], kernel: [2, 2], seed: 953 }),
};
const METHODS = [
  "kfac",
  "ekfac",
  "kpsvd",
  "deflation",
  "lanczos",
  "kfac_corrected",
  "tkfac",
  "tekfac",
  "mbf",
  "foof",
] as const;

for (const [kind, layer] of Object.entries(LAYERS)) {
  cpuTest(
    `approximation-errors of a ${kind} layer are those of the dense matrices, spectra too`,
    async (engine) => {
      const F = fisherOf(denseBlocks(layer)[0]), spectrum = await singularValues(F);
      const answer = await callLayer(engine, "approximation-errors", withoutGradient(layer), {
        methods: METHODS,
        spectrum: true,
      }) as Record<string, Record<string, number>>;
      deepEqual(Object.keys(answer.errors), [...METHODS]);
      for (const method of METHODS) {
        const [F̂] = await approximationOf(engine, layer, method);
        const error = distance(F, F̂) / norm(F);
        expectClose(method, [answer.errors[method]], [error], 1e-4);
        const values = await singularValues(F̂);
        const ofSpectra = distance(values, spectrum) / norm(spectrum);
        expectClose(`spectrum of ${method}`, [answer.spectrum_errors[method]], [ofSpectra], 1e-4);
      }
    },
  );

  cpuTest(
    `kronecker-terms of a ${kind} layer tell their own error and their scale`,
    async (engine) => {
      const F = fisherOf(denseBlocks(layer)[0]);
      for (const method of ["kpsvd", "deflation", "lanczos", "kfac_corrected", "tkfac"]) {
        const answer = await callLayer(engine, "kronecker-terms", withoutGradient(layer), {
          method,
        });
        const error = distance(F, denseTerms(answer)) / norm(F);
        expectClose(`${method}, relative_error`, [answer.relative_error as number], [error], 1e-3);
        const sigmas = numbers(answer.singular_values);
        const side = (field: string, r: number) => {
          const all = numbers(answer[field]), size = all.length / sigmas.length;
          return all.slice(r * size, (r + 1) * size);
        };
        const products = sigmas.map((_, r) => norm(side("A_terms", r)) * norm(side("G_terms", r)));
        expectClose(`${method}, singular_values`, sigmas, products, 1e-4);
        const first = side("G_terms", 0), d = Math.sqrt(first.length);
        ok(first.filter((_, at) => at % (d + 1) === 0).reduce((x, y) => x + y) >= 0);
      }
    },
  );
}

cpuTest(
  "kronecker-terms stops at max_iterations, and earlier at a loose tolerance",
  async (engine) => {
    const of = async (parameters: object) => {
      const layer = withoutGradient(LAYERS.sequence);
      const answer = await callLayer(engine, "kronecker-terms", layer, {
        method: "kpsvd",
        ...parameters,
      });
      return answer.iterations as number;
    };
    const tight = await of({});
    ok(await of({ max_iterations: 2 }) <= 2);
    ok(await of({ tolerance: 1e-2 }) < tight);
  },
);

cpuTest("a method that couples layers has no error of one layer", async (engine) => {
  for (const method of ["kfac_tridiagonal", "kfac_two_level"]) {
    const work = callLayer(engine, "approximation-errors", withoutGradient(LAYERS.dense), {
      methods: ["kfac", method],
    });
    await refused(work, "unsupported", { layer: "l", value: method });
  }
});

cpuTest(
  "a spectrum error is refused where F would be too large, naming the layer",
  async (engine) => {
    const large = withoutGradient(denseLayer({ n: 2, dIn: 40, dOut: 30, bias: false, seed: 3 }));
    const work = callLayer(engine, "approximation-errors", large, {
      methods: ["kfac"],
      spectrum: true,
    });
    await refused(work, "too-large-to-fit", { layer: "l", value: 1200, limit: 1024 });
  },
);

cpuTest("a batch of zeros has no error and no terms, and is no failure", async (engine) => {
  const { inputs, ...rest } = withoutGradient(LAYERS.dense) as { inputs: { shape: number[] } };
  const zeros = { ...inputs, data: new Float32Array(9 * 4) };
  const layer = { ...rest, bias: false, inputs: zeros };
  const { errors } = await callLayer(engine, "approximation-errors", layer, { methods: METHODS });
  ok(Object.values(errors as Record<string, number>).every((error) => error >= 0));
  for (const method of ["kpsvd", "deflation", "lanczos"]) {
    const terms = await callLayer(engine, "kronecker-terms", layer, { method });
    deepEqual(new Set(numbers(terms.singular_values)), new Set([0]));
  }
});

cpuTest("a layer that fails among approximation-errors is named as it was sent", async (engine) => {
  const { inputs, ...rest } = withoutGradient(LAYERS.dense) as { inputs: { data: Float32Array } };
  const huge = { ...inputs, data: inputs.data.map((value) => value * 1e25) };
  const layers = { "net.0.fc": { ...rest, inputs: huge }, good: withoutGradient(LAYERS.dense) };
  const request = { layers, methods: ["ekfac"], on_error: "skip" };
  const answer = await call(engine, "approximation-errors", request);
  const { error } = answer.layers!["net.0.fc"] as { error?: { facts: { layer: string } } };
  equal(error?.facts.layer, "net.0.fc", "squares beyond float32 were answered");
  ok(answer.layers!.good.errors);
});

cpuTest("plan grows with batch, width and method as its formulas do", async (engine) => {
  const of = async (method: string, n: number, width: number) => {
    const layers = { l: { kind: "dense", bias: false, d_in: width, d_out: width } };
    return await call(engine, "plan", { layers, method, n }) as unknown as {
      bytes: { device: number; wire: number };
      flops: Record<string, number>;
      estimated_ms: Record<string, number>;
      fits: boolean;
    };
  };
  const base = await of("kfac", 128, 256);
  const twice = await of("kfac", 256, 256), wide = await of("kfac", 128, 512);
  ok(twice.flops.statistics === 2 * base.flops.statistics, "statistics are linear in n");
  ok(twice.flops.refresh === base.flops.refresh, "a refresh does not see n");
  ok(wide.flops.refresh > 7 * base.flops.refresh, "a refresh is cubic");
  ok((await of("ekfac", 128, 256)).flops.statistics > 2 * base.flops.statistics);
  for (const stage of ["statistics", "refresh", "update"]) {
    ok(base.estimated_ms[stage] >= 0 && Number.isFinite(base.estimated_ms[stage]), stage);
  }
  ok(base.fits && base.bytes.wire >= 4 * 256 * 256);
  ok(!(await of("mbf", 4096, 4096)).fits, "4096 blocks of 4096 × 4096 do not fit");
});

cpuTest("plan refuses a kind of layer that a method does not take", async (engine) => {
  const { kind, vocabulary } = embeddingLayer({ n: 1, vocabulary: 9, dOut: 2, seed: 1 });
  const layers = { table: { kind, vocabulary, d_out: 2 } };
  await refused(call(engine, "plan", { layers, method: "ekfac", n: 1 }), "unsupported", {
    layer: "table",
  });
});
