/** The golden vectors of what sessions accumulate, at the level of functions. */
import {
  engine as tfEngine,
  norm,
  sum,
  type Tensor,
  tensor,
  type Tensor3D,
} from "@tensorflow/tfjs-core";
import {
  adaptedDamping,
  average,
  type Context,
  DEFAULT_OPTIONS,
  gradientSecondMoments,
  observeGradient,
  runningDecay,
  scaledPreconditioner,
  shampooRoots,
  type ShampooState,
  shampooUpdate,
  type SoapState,
  startSoap,
  stepSoap,
} from "@/curvature/mod.ts";
import { type Engine } from "@/engine/mod.ts";
import { type LinearAlgebra, outer, settle, type Stack } from "@/linalg/mod.ts";
import { cpuTest, type EngineTest } from "../support/cpu.ts";
import { expectGolden, type GoldenCase, goldenCases } from "../support/golden.ts";
import { gpuTest } from "../support/gpu.ts";

/** Runs work in a scope of its own and reads what it answers, by name. */
async function answered(
  engine: Engine,
  work: (linalg: LinearAlgebra) => Promise<Record<string, Tensor>>,
): Promise<Record<string, Float32Array>> {
  tfEngine().startScope();
  try {
    const { arrays, keep } = await settle(engine, async (linalg) => {
      const tensors = await work(linalg);
      const names = Object.keys(tensors);
      return { read: Object.values(tensors), keep: () => names };
    });
    return Object.fromEntries(keep().map((name, i) => [name, arrays[i]]));
  } finally {
    tfEngine().endScope();
  }
}

/** The i-th matrix of a stack of a case, `[1, rows, columns]`. */
function matrix({ inputs }: GoldenCase, name: string, i = 0): Tensor3D {
  const { shape, data } = inputs[name];
  const [rows, columns] = shape.slice(-2);
  const size = rows * columns;
  return tensor(data.slice(i * size, (i + 1) * size), [1, rows, columns]) as Tensor3D;
}

const contextOf = (linalg: LinearAlgebra, damping: number): Context => ({
  name: "layer",
  linalg,
  options: { ...DEFAULT_OPTIONS, dampings: [damping] },
});

const METHODS: Record<
  string,
  (engine: Engine, golden: GoldenCase) => Promise<Record<string, ArrayLike<number>>>
> = {
  ema: (engine, golden) =>
    answered(engine, () => {
      const { params: { cap } } = golden;
      const steps = golden.inputs.stream.shape[0];
      let ema = matrix(golden, "stream");
      const weights = new Array(steps).fill(0);
      for (let k = 1; k <= steps; k++) {
        const rho = runningDecay(k, cap);
        ema = average(ema, matrix(golden, "stream", k - 1), rho);
        for (let j = 0; j < k - 1; j++) weights[j] *= rho;
        weights[k - 1] = 1 - rho;
      }
      return Promise.resolve({ ema, weights: tensor(weights) });
    }),

  ekfac_ra: (engine, golden) =>
    answered(engine, async (linalg) => {
      const { alpha, batch_size, damping } = golden.params;
      const [a, g] = await linalg.eigh([
        { name: "A", matrix: matrix(golden, "A") },
        { name: "G", matrix: matrix(golden, "G") },
      ]);
      const basis = { Q_A: a.vectors, Q_G: g.vectors };
      let S: Stack = outer(g.values, a.values);
      const steps = golden.inputs.grads.shape[0];
      for (let i = 0; i < steps; i++) {
        const batch = gradientSecondMoments(basis, matrix(golden, "grads", i), batch_size);
        S = average(S, batch, alpha);
      }
      const last = matrix(golden, "grads", steps - 1);
      const { options } = contextOf(linalg, damping);
      const [update] = scaledPreconditioner(basis, S, options).apply(last);
      return { update, m2_sum: sum(S) };
    }),

  shampoo: (engine, golden) =>
    answered(engine, async (linalg) => {
      const { beta, epsilon, root } = golden.params;
      const steps = golden.inputs.grads.shape[0];
      let state: ShampooState | null = null;
      for (let i = 0; i < steps; i++) {
        state = observeGradient(state, matrix(golden, "grads", i), beta);
      }
      const { roots } = await shampooRoots(state!, contextOf(linalg, epsilon), root);
      const update = shampooUpdate(roots, matrix(golden, "grads", steps - 1));
      return { update, L: state!.L, R: state!.R };
    }),

  soap: async (engine, golden) => {
    const { lr, b1, b2, sb, eps, wd, precondition_frequency: every } = golden.params;
    const options = { beta1: b1, beta2: b2, decay: sb, epsilon: eps, every } as const;
    const steps = golden.inputs.grads.shape[0];
    let state: SoapState | undefined;
    const W = Float64Array.from(golden.inputs.W.data);
    const { m, v, ...updates } = await answered(engine, async (linalg) => {
      const updates: Record<string, Tensor> = {};
      for (let t = 0; t < steps; t++) {
        const D = matrix(golden, "grads", t);
        const context = contextOf(linalg, eps);
        if (t === 0) state = await startSoap(D, context, options);
        else {
          const next = await stepSoap(state!, D, t, context, options);
          state = next.state;
          updates[t] = next.update;
        }
      }
      return { m: norm(state!.M), v: sum(state!.V), ...updates };
    });
    for (let t = 1; t < steps; t++) {
      updates[t].forEach((u, i) => W[i] -= lr * u);
      updates[t].forEach((_, i) => W[i] -= lr * wd * W[i]);
    }
    return {
      W,
      delta_W: W.map((w, i) => w - golden.inputs.W.data[i]),
      m_norm: m,
      v_sum: v,
    };
  },

  lm_lambda: (_, { inputs: { rows: { shape, data } }, params: { omega1, T1 } }) => {
    const rho_lambda = Array.from({ length: shape[0] }, (_, i) => {
      const [lossBefore, lossAfter, predictedChange, lambda] = data.slice(4 * i, 4 * i + 4);
      const report = { lossBefore, lossAfter, predictedChange };
      const rule = { decay: omega1, every: T1 };
      const { reductionRatio, damping } = adaptedDamping(lambda, report, rule);
      return [reductionRatio, damping];
    });
    return Promise.resolve({ rho_lambda: rho_lambda.flat() });
  },
};

function suite(test: EngineTest): void {
  for (const [file, compute] of Object.entries(METHODS)) {
    for (const golden of goldenCases(file)) {
      test(`golden ${golden.id} is met by ${file}'s own functions`, async (engine) => {
        const actual = await compute(engine, golden);
        for (const [name, expected] of Object.entries(golden.expected)) {
          expectGolden(`${golden.id} ${name}`, actual[name], expected);
        }
      });
    }
  }
}

suite(cpuTest);
suite((name, fn) => gpuTest(`${name}, webgpu`, fn));
