/**
 * Fifty session steps against the stateless calls on the same running averages; those of WebGPU are twelve but for
 * CURVD_SLOW=1. Methods whose averages have no form of the wire: tests/compute/session_replay_test.ts.
 */
import { ok, strictEqual as equal } from "node:assert/strict";
import type { Engine } from "@/engine/mod.ts";
import { type Document, isTensor, type WireTensor } from "@/wire/mod.ts";
import { call } from "../support/calls.ts";
import { cpuTest, type EngineTest } from "../support/cpu.ts";
import { distance, norm } from "../support/dense.ts";
import { gpuTest } from "../support/gpu.ts";
import { batch, DAMPING, DECAY, LAYERS, SIZES } from "./batches.ts";
import { tensorIn, values, withSessions } from "./support.ts";

const STEPS = 50;
const isSlowRun = Deno.env.get("CURVD_SLOW") === "1";
const WEBGPU_STEPS = isSlowRun ? STEPS : 12;
if (!isSlowRun) {
  console.log(`webgpu: ${WEBGPU_STEPS} steps a method; CURVD_SLOW=1 runs all ${STEPS}`);
}

/** `ρ·old + (1 − ρ)·batch` of the tensors of an answer, in float64 between float32 ends. */
function averaged(old: Document | null, batch: Document, k: number, fields: string[]): Document {
  const rho = Math.min(1 - 1 / k, DECAY);
  const layers = Object.fromEntries(
    Object.entries(batch.layers!).map(([name, layer]) => [
      name,
      Object.fromEntries(fields.map((field) => {
        const { shape, data } = layer[field] as WireTensor;
        const before = old ? old.layers![name][field] as WireTensor : undefined;
        return [
          field,
          values(
            [...shape],
            Array.from(data, (x, i) => rho * (before?.data[i] ?? 0) + (1 - rho) * x),
          ),
        ];
      })),
    ]),
  );
  return { layers };
}

function only(layers: Record<string, Record<string, unknown>>, fields: string[]) {
  return Object.fromEntries(
    Object.entries(layers).map(([name, layer]) => [
      name,
      {
        ...LAYERS[name as "fc1"],
        ...Object.fromEntries(fields.filter((f) => f in layer).map((f) => [f, layer[f]])),
      },
    ]),
  );
}

const BATCH = ["inputs", "output_gradients"];
const GRADIENT = ["gradient", "bias_gradient"];
const merge = (...parts: Record<string, Record<string, unknown>>[]) =>
  Object.fromEntries(
    Object.keys(SIZES).map((name) => [name, Object.assign({}, ...parts.map((p) => p[name]))]),
  );

/** Relative distance of two answers' updates. */
function expectSame(actual: Document, expected: Document, bound: number, what: string): void {
  for (const name of Object.keys(SIZES)) {
    for (const field of ["update", "bias_update"]) {
      if (!isTensor(expected.layers![name][field])) continue;
      const [a, e] = [tensorIn(actual, name, field).data, tensorIn(expected, name, field).data];
      const error = distance(a, e) / norm(e);
      ok(error <= bound, `${what}, ${name}.${field}: ${error} over ${bound}`);
    }
  }
}

/** What the stateless calls make of the batches so far: the updates of each step. */
type Reference = (engine: Engine) => (step: number) => Promise<Document>;

const REFERENCES: Record<string, { session: Document; reference: Reference }> = {
  "kfac, factored": {
    session: { method: "kfac", refresh: { every: 1 } },
    reference: (engine) => {
      let average: Document | null = null;
      return async (step) => {
        const layers = batch(step);
        const factors = await call(engine, "factors", { layers: only(layers, BATCH) });
        average = averaged(average, factors, step + 1, ["A", "G"]);
        return await call(engine, "updates", {
          layers: merge(only(layers, GRADIENT), average.layers!),
          method: "kfac",
          damping: DAMPING,
        });
      };
    },
  },
  "kfac, exact, every third step": {
    session: { method: "kfac", damping_rule: "exact", refresh: { every: 3 } },
    reference: (engine) => {
      let average: Document | null = null, used: Document | null = null;
      return async (step) => {
        const layers = batch(step);
        const factors = await call(engine, "factors", { layers: only(layers, BATCH) });
        average = averaged(average, factors, step + 1, ["A", "G"]);
        if (step % 3 === 0) used = average;
        return await call(engine, "updates", {
          layers: merge(only(layers, GRADIENT), used!.layers!),
          method: "kfac",
          damping: DAMPING,
          damping_rule: "exact",
        });
      };
    },
  },
  "ekfac, one basis": {
    session: { method: "ekfac", refresh: { every: null } },
    reference: (engine) => {
      let bases: Document | null = null, S: Document | null = null;
      return async (step) => {
        const layers = batch(step);
        if (step === 0) {
          const factors = await call(engine, "factors", { layers: only(layers, BATCH) });
          bases = await call(engine, "eigenbases", {
            layers: Object.fromEntries(
              Object.entries(factors.layers!).map(([name, { A, G }]) => [name, { A, G }]),
            ),
          });
        }
        const Q = Object.fromEntries(
          Object.entries(bases!.layers!).map(([name, { Q_A, Q_G }]) => [name, { Q_A, Q_G }]),
        );
        const scalings = await call(engine, "scalings", { layers: merge(only(layers, BATCH), Q) });
        S = averaged(S, scalings, step + 1, ["S"]);
        return await call(engine, "updates", {
          layers: merge(only(layers, GRADIENT), Q, S.layers!),
          damping: DAMPING,
        });
      };
    },
  },
  "foof": {
    session: { method: "foof", refresh: { every: 1 } },
    reference: (engine) => {
      let average: Document | null = null;
      return async (step) => {
        const layers = batch(step);
        const factors = await call(engine, "factors", { layers: only(layers, ["inputs"]) });
        average = averaged(average, factors, step + 1, ["A"]);
        return await call(engine, "updates", {
          layers: merge(only(layers, GRADIENT), average.layers!),
          method: "foof",
          damping: DAMPING,
        });
      };
    },
  },
};

function suite(test: EngineTest, steps: number): void {
  for (const [name, { session, reference }] of Object.entries(REFERENCES)) {
    test(`${steps} steps of ${name} are the stateless calls on the same averages`, (engine) =>
      withSessions(engine, async ({ expect }) => {
        await expect("POST", "", {
          id: "s",
          layers: LAYERS,
          damping: DAMPING,
          decay: DECAY,
          ...session,
        });
        const next = reference(engine);
        for (let step = 0; step < steps; step++) {
          const expected = await next(step);
          const actual = await expect("POST", "/s/steps", { layers: batch(step) });
          // both round their averages to float32 at each step, in another order
          expectSame(actual, expected, 2e-4, `step ${step}`);
          equal(actual.revision, step + 1);
        }
      }));
  }
}

suite(cpuTest, STEPS);
suite((name, fn) => gpuTest(`${name}, webgpu`, fn), WEBGPU_STEPS);
