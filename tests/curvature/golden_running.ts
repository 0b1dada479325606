/**
 * Golden results of what is kept from step to step, from the functions that sessions are made of.
 *
 * @module
 */
import {
  engine as tfEngine,
  mul,
  norm,
  square,
  sub,
  sum,
  type Tensor,
  type Tensor3D,
  tensor3d,
} from "@tensorflow/tfjs-core";
import { type Context, DEFAULT_OPTIONS, scaledPreconditioner } from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { type LinearAlgebra, outer, settle } from "@/linalg/mod.ts";
import { eigenbasisOf, project } from "../../src/curvature/eigenbasis.ts";
import { adaptedDamping } from "../../src/curvature/levenberg_marquardt.ts";
import { average, runningDecay } from "../../src/curvature/running_average.ts";
import {
  observeGradient,
  shampooRoots,
  type ShampooState,
  shampooUpdate,
} from "../../src/curvature/shampoo.ts";
import { type SoapState, startSoap, stepSoap } from "../../src/curvature/soap.ts";
import type { GoldenTensor } from "../support/golden.ts";
import type { FunctionCase } from "./golden_functions.ts";

/** Cases by file. */
export const RUNNING: Record<string, FunctionCase> = {
  ema: (engine, { inputs: { stream }, params }) =>
    onDevice(engine, () => {
      const rho = (k: number) => runningDecay(k, params.cap);
      const ema = slices(stream).reduce((S, batch, j) => average(S, batch, rho(j + 1)));
      const steps = Array.from({ length: stream.shape[0] }, (_, k) => k);
      const weights = steps.map((j) =>
        // what a stream of zeros with a one at j averages to
        steps.reduce((S, k) => rho(k + 1) * S + (1 - rho(k + 1)) * Number(k === j), 0)
      );
      return Promise.resolve({ read: { ema }, plain: { weights } });
    }),

  ekfac_ra: (engine, { inputs: { A, G, grads }, params }) =>
    onDevice(engine, async (linalg) => {
      const [a] = slices(A, 1), [g] = slices(G, 1), gradients = slices(grads);
      const { Q_A, Q_G, lambda_A, lambda_G } = await eigenbasisOf(linalg, "l", { A: a, G: g });
      const m2 = gradients.reduce(
        (m2, D) =>
          average(m2, mul(square(project({ Q_A, Q_G }, D)), params.batch_size), params.alpha),
        outer(lambda_G, lambda_A),
      );
      const options = { ...DEFAULT_OPTIONS, dampings: [params.damping] };
      const preconditioner = scaledPreconditioner({ Q_A, Q_G }, m2, options);
      const [update] = preconditioner.apply(gradients.at(-1)!);
      return { read: { update, m2_sum: sum(m2) }, plain: {} };
    }),

  lm_lambda(_, { inputs: { rows }, params }) {
    const rule = { decay: params.omega1, every: params.T1 };
    const results = Array.from({ length: rows.shape[0] }, (_, i) => {
      const [lossBefore, lossAfter, predictedChange, damping] = rows.data.slice(4 * i, 4 * i + 4);
      const report = { lossBefore, lossAfter, predictedChange };
      const adapted = adaptedDamping(damping, report, rule);
      return [adapted.reductionRatio, adapted.damping];
    });
    return Promise.resolve({ rho_lambda: results.flat() });
  },

  shampoo: (engine, { inputs: { grads }, params }) =>
    onDevice(engine, async (linalg) => {
      const gradients = slices(grads);
      const state = gradients.reduce(
        (state: ShampooState | null, D) => observeGradient(state, D, params.beta),
        null,
      )!;
      const options = { ...DEFAULT_OPTIONS, dampings: [params.epsilon] };
      const { roots } = await shampooRoots(state, { name: "l", linalg, options }, params.root);
      const update = shampooUpdate(roots, gradients.at(-1)!);
      return { read: { update, L: state.L, R: state.R }, plain: {} };
    }),

  soap: (engine, { inputs: { W, grads }, params }) =>
    onDevice(engine, async (linalg) => {
      const { lr, wd } = params as unknown as Record<string, number>;
      const options = {
        beta1: params.b1,
        beta2: params.b2,
        decay: params.sb,
        epsilon: params.eps,
        every: params.precondition_frequency,
      };
      const context: Context = { name: "l", linalg, options: DEFAULT_OPTIONS };
      const [first, ...gradients] = slices(grads);
      let state: SoapState = await startSoap(first, context, options);
      const updates: Tensor3D[] = [];
      for (const [i, D] of gradients.entries()) {
        const step = await stepSoap(state, D, i + 1, context, options);
        state = step.state;
        updates.push(step.update);
      }
      const [start] = slices(W, 1);
      const end = updates.reduce(
        (w, U) => mul<Tensor3D>(sub(w, mul(U, lr)), 1 - lr * wd),
        start,
      );
      const delta_W = sub(end, start);
      const moments = { m_norm: norm(state.M), v_sum: sum(state.V) };
      return { read: { W: end, delta_W, ...moments }, plain: {} };
    }),
};

/** Matrices of a stack `[k, r, c]`, each `[1, r, c]`; of one matrix `[r, c]` with `count` 1. */
function slices({ shape, data }: GoldenTensor, count = shape[0]): Tensor3D[] {
  const [rows, columns] = shape.slice(-2), size = rows * columns;
  return Array.from(
    { length: count },
    (_, k) => tensor3d(data.slice(k * size, (k + 1) * size), [1, rows, columns]),
  );
}

/** Runs work in a scope of its own and reads what it answers. */
async function onDevice(
  engine: Engine,
  work: (linalg: LinearAlgebra) => Promise<
    { read: Record<string, Tensor>; plain: Record<string, number[]> }
  >,
): Promise<Record<string, ArrayLike<number>>> {
  tfEngine().startScope();
  try {
    const { arrays, keep } = await settle(engine, async (linalg) => {
      const { read, plain } = await work(linalg);
      return { read: Object.values(read), keep: () => ({ names: Object.keys(read), plain }) };
    });
    const { names, plain } = keep();
    return { ...plain, ...Object.fromEntries(names.map((name, i) => [name, arrays[i]])) };
  } finally {
    tfEngine().endScope();
  }
}
