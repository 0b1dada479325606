/**
 * Who disposes what: a method used directly, with every tensor given back by its owner and nothing to clean up after it.
 *
 * The calls work within a scope, which forgives; sessions keep states for days and do not.
 *
 * @module
 */
import { dispose, memory, type Tensor3D, type TensorContainer, tidy } from "@tensorflow/tfjs-core";
import { strictEqual as equal } from "node:assert/strict";
import {
  type Context,
  layerMethod,
  type MethodName,
  METHODS,
  modelMethod,
  type Samples,
  settleOptions,
  type StatedOptions,
  type Statistics,
} from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { type LinearAlgebra, settle } from "@/linalg/mod.ts";
import { type PreparedLayer, uploadGradient, uploadStatistics } from "../../src/compute/layers.ts";
import { prepared } from "../support/approximations.ts";
import type { EngineTest } from "../support/cpu.ts";
import { type Cell, cells, type Choice } from "./cells.ts";

/** What makes any method take another path. */
const PATHS: readonly StatedOptions[] = [{ dampings: [0.2] }, { dampings: [0.1, 0.5] }];

const TWO_TERMS: readonly StatedOptions[] = [
  { indefinite: "abs_factors" },
  { dampedTerms: "all", dampingRule: "plain" },
];

/** What makes one. */
const PATHS_OF: Partial<Record<MethodName, readonly StatedOptions[]>> = {
  kfac: [{ dampingRule: "exact" }, { power: -0.5 }, { pi: "spectral" }],
  deflation: TWO_TERMS,
  kfac_corrected: TWO_TERMS,
  tkfac: [{ tkfacLocations: "exact" }, { power: 1 }],
  mbf: [{ mbfBlocks: "averaged" }],
  kfac_tridiagonal: [{ pi: "spectral" }],
  kfac_two_level: [
    { coarseSpace: "spectral", pi: "spectral" },
    { coarseSpace: "residual" },
    { coarseSpace: "krylov_nicolaides", rhs: "gradient" },
  ],
};

/** Declares that every cell, or those chosen, leaves nothing behind. */
export function ownership(test: EngineTest, isChosen: Choice = () => true): void {
  for (const cell of cells().filter(isChosen)) {
    if (!cell.isOffered) continue;
    const { method, kind } = cell;
    const special = (PATHS_OF[method] ?? []).map((stated) => ({ dampings: [0.2], ...stated }));
    for (const stated of [...PATHS, ...special]) {
      const path = JSON.stringify(stated);
      test(`${method} on ${kind} of ${path} leaves no tensor to anyone`, async (engine) => {
        const context = { name: "l", options: settleOptions(method, stated) };
        const work = METHODS[method].isCoupled ? useModel : useLayer;
        await work(engine, cell, context); // what is made once and kept is made now
        const before = memory().numTensors;
        await work(engine, cell, context);
        equal(memory().numTensors, before, "tensors were left behind");
      });
    }
  }
}

type Settings = Omit<Context, "linalg">;

/** Observes, refreshes, applies, multiplies and gives everything back. */
async function useLayer(engine: Engine, { method: name, request }: Cell, settings: Settings) {
  const ready = prepared(request.layers.l);
  await within(engine, async (linalg) => {
    const context = { ...settings, linalg };
    const method = layerMethod(name, ready.layer);
    const samples = samplesOf(ready), V = gradientOf(ready);
    const short = await method.direct?.(samples, context);
    short?.dispose();
    const state = await method.observe(samples, context);
    const preconditioner = await method.refresh(state, context, samples);
    const product = preconditioner.multiply(V);
    dispose([preconditioner.apply(V), product ?? []] as TensorContainer);
    preconditioner.dispose();
    method.release(state);
    samples.dispose();
    V.dispose();
  });
}

async function useModel(engine: Engine, { method: name, request }: Cell, settings: Settings) {
  const ready = Object.values(request.layers).map(prepared);
  await within(engine, async (linalg) => {
    const layers = ready.map((each) => ({
      layer: each.layer,
      samples: samplesOf(each) as Samples,
    }));
    const gradients = ready.map(gradientOf);
    const preconditioner = await modelMethod(name)!.refresh(layers, { ...settings, linalg });
    const product = preconditioner.multiply(gradients);
    dispose([await preconditioner.apply(gradients), product ?? [], gradients] as TensorContainer);
    preconditioner.dispose();
    for (const { samples } of layers) samples.dispose();
  });
}

function gradientOf(ready: PreparedLayer): Tensor3D {
  return tidy(() => uploadGradient(ready).clone());
}

/** The statistics are the caller's, the samples own what they keep of them. */
function samplesOf(ready: PreparedLayer) {
  const statistics: Statistics = uploadStatistics(ready);
  const samples = ready.layer.samples(statistics);
  const { inputs, outputGradients, mask } = statistics;
  dispose([inputs, outputGradients, mask?.places].filter((t) => t !== undefined));
  return samples;
}

async function within(engine: Engine, work: (linalg: LinearAlgebra) => Promise<void>) {
  await settle(engine, async (linalg) => {
    await work(linalg);
    return { read: [], keep: null };
  });
}
