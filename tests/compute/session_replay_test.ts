/**
 * Fifty session steps against a float64 replay that shares nothing with the product, for every method.
 *
 * On a software adapter fifty steps take minutes: on WebGPU it is seven, and fifty with CURVD_SLOW=1.
 */
import { ok } from "node:assert/strict";
import type { Engine } from "@/engine/mod.ts";
import type { Document } from "@/wire/mod.ts";
import { batch, DAMPING, DECAY, LAYERS, layersFor } from "../sessions/batches.ts";
import { type Client, withSessions } from "../sessions/support.ts";
import { numbers, type RequestLayer } from "../support/calls.ts";
import { cpuTest } from "../support/cpu.ts";
import { type Dense, distance, norm } from "../support/dense.ts";
import { gradientOf, matricesOf } from "../support/dense_fisher.ts";
import { gpuTest } from "../support/gpu.ts";
import { EkfacReplay } from "../support/replay/ekfac.ts";
import { FoofReplay, KfacReplay, MbfReplay, TkfacReplay } from "../support/replay/factors.ts";
import { ShampooReplay, SoapReplay } from "../support/replay/gradients.ts";
import type { LayerReplay } from "../support/replay/layer.ts";
import { TridiagonalReplay, TwoLevelReplay } from "../support/replay/model.ts";
import { TermsReplay } from "../support/replay/terms.ts";

const STEPS = 50;
const isSlowRun = Deno.env.get("CURVD_SLOW") === "1";
const WEBGPU_STEPS = isSlowRun ? STEPS : 7;
if (!isSlowRun) {
  console.log(`webgpu: ${WEBGPU_STEPS} steps a method; CURVD_SLOW=1 runs all ${STEPS}`);
}

/** The updates `[dOut, dIn]` of a step, by layer. */
type Replay = (
  model: Record<string, RequestLayer>,
  isDue: boolean,
) => Promise<Record<string, Dense>>;

interface Case {
  readonly session: Document;
  readonly replay: () => Replay;
  /** Relative, of an update: some roundings of float32; more where S is carried from basis to basis, or a pair has a near one. */
  readonly bound: number;
  /** Those of the model alone. */
  readonly layers?: readonly (keyof typeof LAYERS)[];
}

/** Each layer by itself. */
function perLayer(make: () => LayerReplay): () => Replay {
  return () => {
    const layers = new Map<string, LayerReplay>();
    return async (model, isDue) =>
      Object.fromEntries(
        await Promise.all(
          Object.entries(model).map(async ([name, layer]) => {
            if (!layers.has(name)) layers.set(name, make());
            return [name, await layers.get(name)!.step(layer, isDue)] as const;
          }),
        ),
      );
  };
}

function together(make: () => TridiagonalReplay | TwoLevelReplay): () => Replay {
  return () => {
    const model = make();
    return (layers, isDue) => {
      const updates = model.step(layers, isDue);
      return Promise.resolve(
        Object.fromEntries(Object.keys(layers).map((name, l) => [name, updates[l]])),
      );
    };
  };
}

/** Gradients alone, of sides `[dOut, dIn]`. */
function ofGradients(
  make: () => (D: Dense, dOut: number, dIn: number, isDue: boolean) => Promise<Dense>,
): () => Replay {
  return () => {
    const layers = new Map<string, ReturnType<typeof make>>();
    return async (model, isDue) =>
      Object.fromEntries(
        await Promise.all(
          Object.entries(model).map(async ([name, layer]) => {
            if (!layers.has(name)) layers.set(name, make());
            const [D] = gradientOf(layer), dOut = name === "fc1" ? 4 : 2;
            return [name, await layers.get(name)!(D, dOut, D.length / dOut, isDue)] as const;
          }),
        ),
      );
  };
}

const SOAP = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8 };

const CASES: Record<string, Case> = {
  "kfac, factored": {
    session: { method: "kfac" },
    replay: perLayer(() => new KfacReplay(DAMPING, DECAY)),
    bound: 5e-6,
  },
  "kfac, plain": {
    session: { method: "kfac", damping_rule: "plain" },
    replay: perLayer(() => new KfacReplay(DAMPING, DECAY, "plain")),
    bound: 5e-6,
  },
  "kfac, exact": {
    session: { method: "kfac", damping_rule: "exact" },
    replay: perLayer(() => new KfacReplay(DAMPING, DECAY, "exact")),
    bound: 5e-6,
  },
  ekfac: {
    session: { method: "ekfac" },
    replay: perLayer(() => new EkfacReplay(DAMPING, DECAY, "factors")),
    bound: 2e-5,
  },
  "ekfac, batch_gradient": {
    session: { method: "ekfac", scalings: "batch_gradient" },
    replay: perLayer(() => new EkfacReplay(DAMPING, DECAY, "factors", true)),
    bound: 2e-5,
  },
  kpsvd: {
    session: { method: "kpsvd" },
    replay: perLayer(() => new TermsReplay(DAMPING, DECAY, 1)),
    bound: 2e-5,
  },
  deflation: {
    session: { method: "deflation" },
    replay: perLayer(() => new TermsReplay(DAMPING, DECAY, 2)),
    bound: 2e-5,
  },
  lanczos: {
    session: { method: "lanczos" },
    replay: perLayer(() => new TermsReplay(DAMPING, DECAY, 2)),
    bound: 2e-5,
  },
  kfac_corrected: {
    session: { method: "kfac_corrected" },
    replay: perLayer(() => new TermsReplay(DAMPING, DECAY, 2, true)),
    bound: 1e-4,
  },
  tkfac: {
    session: { method: "tkfac" },
    replay: perLayer(() => new TkfacReplay(DAMPING, DECAY)),
    bound: 5e-6,
  },
  tekfac: {
    session: { method: "tekfac" },
    replay: perLayer(() => new EkfacReplay(DAMPING, DECAY, "traces")),
    bound: 2e-5,
  },
  kfac_tridiagonal: {
    session: { method: "kfac_tridiagonal" },
    replay: together(() => new TridiagonalReplay(DAMPING, DECAY)),
    bound: 1e-5,
  },
  kfac_two_level: {
    session: { method: "kfac_two_level" },
    replay: together(() => new TwoLevelReplay(DAMPING, DECAY)),
    bound: 5e-6,
  },
  mbf: {
    session: { method: "mbf" },
    replay: perLayer(() => new MbfReplay(DAMPING, DECAY)),
    bound: 5e-6,
  },
  foof: {
    session: { method: "foof" },
    replay: perLayer(() => new FoofReplay(DAMPING, DECAY)),
    bound: 5e-6,
  },
  shampoo: {
    session: { method: "shampoo" },
    replay: ofGradients(() => {
      const replay = new ShampooReplay(DAMPING, DECAY);
      return (D, dOut, dIn, isDue) => replay.step(D, dOut, dIn, isDue);
    }),
    bound: 1e-5,
  },
  soap: {
    session: { method: "soap", damping: SOAP.epsilon, beta1: SOAP.beta1, beta2: SOAP.beta2 },
    replay: ofGradients(() => {
      const replay = new SoapReplay({ ...SOAP, decay: DECAY, every: EVERY });
      return (D, dOut) => replay.step(D, dOut);
    }),
    bound: 1e-5,
    layers: ["fc1"], // square
  },
};

/** Not every step: between refreshes the averages go on and the preconditioner stays. */
const EVERY = 3;

async function replayed(
  { expect }: Client,
  { session, replay, bound, layers = ["fc1", "fc2"] }: Case,
  steps: number,
): Promise<void> {
  const only = <T>(of: Readonly<Record<string, T>>) =>
    Object.fromEntries(layers.map((name) => [name, of[name]]));
  await expect("POST", "", {
    id: "s",
    layers: only(LAYERS),
    damping: DAMPING,
    decay: DECAY,
    refresh: { every: EVERY },
    ...session,
  });
  const next = replay();
  for (let step = 0; step < steps; step++) {
    const model = only(batch(step));
    const described = Object.fromEntries(
      layers.map((name): [string, RequestLayer] => [name, { ...LAYERS[name], ...model[name] }]),
    );
    const expected = await next(described, step % EVERY === 0);
    const sent = only(layersFor(String(session.method), step));
    const answer = await expect("POST", "/s/steps", { layers: sent });
    for (const name of layers) {
      const { update, bias_update: bias } = answer.layers![name];
      const [actual] = matricesOf(
        described[name],
        numbers(update),
        bias === undefined ? undefined : numbers(bias),
      );
      const error = distance(actual, expected[name]) / (norm(expected[name]) || 1);
      ok(error <= bound, `step ${step}, ${name}: ${error} over ${bound}`);
    }
  }
}

function suite(
  test: (name: string, fn: (engine: Engine) => Promise<void>) => void,
  steps: number,
): void {
  for (const [name, each] of Object.entries(CASES)) {
    test(`${steps} steps of ${name} are a float64 replay's`, (engine) =>
      withSessions(engine, (client) => replayed(client, each, steps)));
  }
}

suite(cpuTest, STEPS);
suite((name, fn) => gpuTest(`${name}, webgpu`, fn), WEBGPU_STEPS);
