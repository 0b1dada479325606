/**
 * The three stages of a method, each read back before the clock stops.
 *
 * @module
 */
import {
  dispose,
  expandDims,
  eye,
  randomNormal,
  type Tensor,
  type Tensor3D,
  tile,
} from "@tensorflow/tfjs-core";
import {
  type KroneckerLayer,
  layerMethod,
  type MethodName,
  type MethodOptions,
  modelMethod,
  type Samples,
  settleOptions,
} from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { type LinearAlgebra, settle } from "@/linalg/mod.ts";
import { median } from "../linalg/timing.ts";
import { BATCH, type Problem, samplesOf } from "./problems.ts";

/** Milliseconds: medians over the repeats after a warm-up. */
export interface Stages {
  readonly statistics: number;
  readonly refresh: number;
  readonly update: number;
}

/** Counts the time since the last lap for a stage, or for none. */
type Lap = (stage: keyof Stages | null) => void;

/** Times a method on a problem; of several layers, one after another where they are independent. */
export async function stagesOf(
  engine: Engine,
  problem: Problem,
  method: MethodName,
): Promise<Stages> {
  const times = { statistics: [] as number[], refresh: [] as number[], update: [] as number[] };
  for (let repeat = 0; repeat <= problem.repeats; repeat++) {
    const total = { statistics: 0, refresh: 0, update: 0 };
    let started = performance.now();
    const lap: Lap = (stage) => {
      const now = performance.now();
      if (stage !== null) total[stage] += now - started;
      started = performance.now();
    };
    if (modelMethod(method)) await runCoupled(engine, problem, method, lap);
    else for (const layer of problem.layers) await runLayer(engine, problem, method, layer, lap);
    if (repeat === 0) continue; // compiled code is what serves
    for (const stage of ["statistics", "refresh", "update"] as const) {
      times[stage].push(total[stage]);
    }
  }
  return {
    statistics: median(times.statistics),
    refresh: median(times.refresh),
    update: median(times.update),
  };
}

async function runLayer(
  engine: Engine,
  problem: Problem,
  method: MethodName,
  layer: KroneckerLayer,
  lap: Lap,
): Promise<void> {
  const implementation = layerMethod(method, layer);
  const options = optionsOf(problem, method);
  const contextOf = (linalg: LinearAlgebra) => ({ name: layer.name, linalg, options });
  const samples = samplesOf(problem, layer);
  const V = gradientOf(layer);
  await wait(engine, V);
  // a mini-block layer of this width has no state that fits: it goes straight to its Woodbury form
  const isDirect = method === "mbf" && layer.kind === "dense" && 2 * BATCH <= layer.dIn;
  lap(null);
  const { keep: state } = await settle(engine, async (linalg) => ({
    read: [],
    keep: isDirect ? null : await implementation.observe(samples, contextOf(linalg)),
  }));
  await wait(engine, state);
  lap("statistics");
  const { keep: preconditioner } = await settle(engine, async (linalg) => ({
    read: [],
    keep: isDirect
      ? (await implementation.direct!(samples, contextOf(linalg)))!
      : await implementation.refresh(state, contextOf(linalg), samples),
  }));
  lap("refresh");
  const updates = preconditioner.apply(V);
  await engine.read(updates);
  lap("update");
  dispose([updates, V].flat());
  preconditioner.dispose();
  if (!isDirect) implementation.release(state);
  samples.dispose();
}

/** A coupled method keeps the batch itself: its statistics are part of its refresh. */
async function runCoupled(
  engine: Engine,
  problem: Problem,
  method: MethodName,
  lap: Lap,
): Promise<void> {
  const layers = problem.layers.map((layer) => ({ layer, samples: samplesOf(problem, layer) }));
  const gradients = problem.layers.map(gradientOf);
  await wait(engine, gradients);
  lap(null);
  const { keep: preconditioner } = await settle(engine, async (linalg) => ({
    read: [],
    keep: await modelMethod(method)!.refresh(layers, {
      name: "model",
      linalg,
      options: optionsOf(problem, method),
    }),
  }));
  lap("refresh");
  const updates = (await preconditioner.apply(gradients)).flat();
  await engine.read(updates);
  lap("update");
  dispose([...updates, ...gradients]);
  preconditioner.dispose();
  for (const { samples } of layers) samples.dispose();
}

/** EKFAC's second moments in a basis that is there already, against K-FAC's factors of the same batch, in milliseconds. */
export async function scalingsOf(
  engine: Engine,
  problem: Problem,
): Promise<{ factors: number; scalings: number }> {
  const [layer] = problem.layers;
  const samples = samplesOf(problem, layer);
  const identity = (d: number) => tile(expandDims<Tensor3D>(eye(d), 0), [layer.groups, 1, 1]);
  const [Q_A, Q_G] = [identity(layer.dIn), identity(layer.dOut)];
  const time = async (work: () => Tensor[]) => {
    const times: number[] = [];
    for (let repeat = 0; repeat <= problem.repeats; repeat++) {
      const started = performance.now();
      const tensors = work();
      await wait(engine, tensors);
      times.push(performance.now() - started);
      dispose(tensors);
    }
    return median(times.slice(1));
  };
  const factors = await time(() => factorsOf(samples));
  const scalings = await time(() => [samples.secondMoments(Q_A, Q_G)]);
  samples.dispose();
  dispose([Q_A, Q_G]);
  return { factors, scalings };
}

function factorsOf(samples: Samples): Tensor[] {
  return [samples.inputFactor(), samples.gradFactor()];
}

function optionsOf({ maxIterations }: Problem, method: MethodName): MethodOptions {
  return { ...settleOptions(method, { dampings: [1e-2] }), maxIterations, tolerance: 1e-5 };
}

function gradientOf({ dOut, dIn }: KroneckerLayer): Tensor3D {
  return randomNormal([1, dOut, dIn], 0, 1, "float32", 3) as Tensor3D;
}

/** Reads one of a state's tensors, so that a device's queue is empty before the clock stops. */
async function wait(engine: Engine, state: unknown): Promise<void> {
  if (engine.kind !== "webgpu") return;
  const tensors: Tensor[] = [];
  const collect = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if ("dataId" in value) tensors.push(value as Tensor);
    else Object.values(value).forEach(collect);
  };
  collect(state);
  await engine.read(tensors.slice(0, 1));
}
