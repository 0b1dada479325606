/**
 * The WebGPU engine against TensorFlow.js's own product, and a refresh against block Jacobi without a warm start.
 *
 * @module
 */
import { add, dispose, mul, slice, type Tensor3D, tidy } from "@tensorflow/tfjs-core";
import { type Engine, openEngine, type Tuning, type WebGpuEngine } from "@/engine/mod.ts";
import { gram, settle, type Stack } from "@/linalg/mod.ts";
import { contest, here } from "./contest.ts";
import { examples, factor } from "./matrices.ts";
import { type Row, row } from "./row.ts";
import { tfjsGram } from "./tfjs_mat_mul.ts";

const GRAM_BAR = 0.6;
const REFRESH_BAR = 0.4;

/** Weight that the running average keeps of the old factor between two refreshes. */
const DECAY = 0.95;

/** Products a timing: a read-back alone costs some milliseconds, so it must not weigh. */
const PRODUCTS = 8;

export async function* webGpuRows(
  { products, refreshes }: { products: readonly number[]; refreshes: readonly number[] },
): AsyncGenerator<Row> {
  const engine = await openEngine({ engine: "webgpu", blas: "auto" }) as WebGpuEngine;
  for (const n of products) yield await gramRow(engine, n);
  for (const n of refreshes) yield* refreshRows(engine, n);
  await engine.close();
}

async function gramRow(engine: Engine, n: number): Promise<Row> {
  const x = examples(n, n, n);
  const result = await contest(
    here("curvd", () => timed(engine, () => gram(x, 1))),
    [here("tf.matMul(x, x, true)", () => timed(engine, () => tfjsGram(x)))],
  );
  dispose(x);
  return row({ engine: "webgpu", work: `XᵀX ${n}`, ...result, bar: GRAM_BAR });
}

/** Several products, then a read of one number that waits for all of them. */
async function timed(engine: Engine, product: () => Tensor3D): Promise<void> {
  const results = Array.from({ length: PRODUCTS }, product);
  const end = slice(results[PRODUCTS - 1], [0, 0, 0], [1, 1, 1]);
  await engine.read([end]);
  dispose([...results, end]);
}

/** A refresh with the last basis at hand, against block Jacobi without it, and with it. */
async function* refreshRows(engine: WebGpuEngine, n: number): AsyncGenerator<Row> {
  const jacobi = withTuning(engine, { tridiagonal: false });
  const before = factor(n, n);
  const batch = factor(n, 2 * n);
  const after = tidy(() => add<Stack>(mul(before, DECAY), mul(batch, 1 - DECAY)));
  const basis = await eigenbasis(engine, before);
  const refresh = (by: Engine, warmStart?: Stack) => async () =>
    dispose(await eigenbasis(by, after, warmStart));
  const ours = here("curvd", refresh(engine, basis));
  const cold = await contest(ours, [here("block Jacobi, cold", refresh(jacobi))]);
  yield row({ engine: "webgpu", work: `refresh ${n}`, ...cold, bar: REFRESH_BAR });
  const warm = await contest(ours, [here("block Jacobi, warm", refresh(jacobi, basis))]);
  yield row({ engine: "webgpu", work: `refresh ${n}`, ...warm });
  dispose([before, batch, after, basis]);
}

/** The same engine, whose kernels are chosen otherwise. */
function withTuning(engine: WebGpuEngine, changes: Partial<Tuning>): WebGpuEngine {
  const tuning = { ...engine.tuning, ...changes };
  return new Proxy(engine, {
    get(target, name) {
      if (name === "tuning") return tuning;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** The eigenvectors; only the eigenvalues are read. */
async function eigenbasis(engine: Engine, matrix: Stack, warmStart?: Stack): Promise<Stack> {
  const { keep } = await settle(engine, async (linalg) => {
    const [{ vectors, values }] = await linalg.eigh([{ name: "A", matrix, warmStart }]);
    return { read: [values], keep: vectors };
  });
  return keep;
}
