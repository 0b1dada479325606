/**
 * What the tests of the WebGPU linear algebra share: one matrix in, plain arrays out, judged in float64.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { type Tensor, tensor3d } from "@tensorflow/tfjs-core";
import type { WebGpuEngine } from "@/engine/mod.ts";
import { type LinearAlgebra, type Report, settle, type Stack } from "@/linalg/mod.ts";
import { reference } from "./reference.ts";

export type Matrix = Float32Array | Float64Array;

/** Tile edges: below, at and above 16, 32, 64, 128, and something in between. */
export const SIZES = [1, 2, 3, 16, 17, 33, 63, 64, 65, 127, 128, 129, 200];

/** A stack of matrices of one size. */
export function stackOf(...matrices: Matrix[]): Stack {
  const d = Math.sqrt(matrices[0].length);
  const values = new Float32Array(matrices.length * d * d);
  matrices.forEach((matrix, i) => values.set(matrix, i * d * d));
  return tensor3d(values, [matrices.length, d, d]);
}

interface Solved {
  readonly arrays: Float32Array[];
  readonly reports: Report[];
}

/** Settles one call and reads its tensors. */
export async function solve(
  engine: WebGpuEngine,
  work: (linalg: LinearAlgebra) => Promise<readonly { reports: Report[] }[]>,
  options: { verifyFully?: boolean } = {},
): Promise<Solved> {
  const { arrays, keep } = await settle(engine, async (linalg) => {
    const results = await work(linalg);
    const read = results.flatMap((result): Tensor[] =>
      Object.values<object>(result).filter((value): value is Tensor => "dataId" in value)
    );
    return { read, keep: results.flatMap(({ reports }) => reports) };
  }, options);
  return { arrays, reports: keep };
}

export async function invert(
  engine: WebGpuEngine,
  matrix: Matrix,
  shift: number,
  tolerance?: number,
) {
  const input = stackOf(matrix);
  const negativeTolerance = tolerance === undefined ? undefined : [tolerance];
  try {
    const { arrays, reports } = await solve(
      engine,
      (linalg) =>
        linalg.choleskyInverse([{ name: "fc A", matrix: input, shift, negativeTolerance }]),
    );
    return { inverse: arrays[0], report: reports[0] };
  } finally {
    input.dispose();
  }
}

export async function decompose(engine: WebGpuEngine, matrix: Matrix, warmStart?: Stack) {
  const input = stackOf(matrix);
  try {
    const { arrays: [vectors, values], reports: [report] } = await solve(
      engine,
      (linalg) => linalg.eigh([{ name: "fc A", matrix: input, warmStart }]),
    );
    return { vectors, values, report };
  } finally {
    input.dispose();
  }
}

export function plusIdentity(matrix: Matrix, shift: number, d: number): Float64Array {
  const sum = Float64Array.from(matrix);
  for (let i = 0; i < d; i++) sum[i * (d + 1)] += shift;
  return sum;
}

export function frobenius(x: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * x[i];
  return Math.sqrt(sum);
}

/** `‖XM − I‖_F/√d`, exactly. */
export function inverseResidual(m: Float64Array, x: Matrix, d: number): number {
  const product = reference.matMul(x as Float64Array, m, { m: d, k: d, n: d });
  return frobenius(plusIdentity(product, -1, d)) / Math.sqrt(d);
}

export function conditionOf(m: Float64Array, x: Matrix): number {
  return frobenius(m) * frobenius(x);
}

/** Residual, orthogonality and order of an eigendecomposition, exactly. */
export function assertEigh(m: Matrix, vectors: Matrix, values: Matrix, d: number, what: string) {
  const size = { m: d, k: d, n: d };
  const mq = reference.matMul(Float64Array.from(m), vectors as Float64Array, size);
  const missed = mq.map((value, at) => value - vectors[at] * values[at % d]);
  const gram = reference.matMul(vectors as Float64Array, vectors as Float64Array, {
    ...size,
    transposeA: true,
  });
  const scale = frobenius(Float64Array.from(m)) || 1;
  const residual = frobenius(missed) / scale;
  const orthogonality = frobenius(plusIdentity(gram, -1, d)) / Math.sqrt(d);
  ok(residual <= 1e-5, `${what}: residual ${residual}`);
  ok(orthogonality <= 2e-6, `${what}: orthogonality ${orthogonality}`);
  for (let i = 1; i < d; i++) ok(values[i - 1] <= values[i], `${what}: not ascending at ${i}`);
}

export function assertSymmetric(x: Float32Array, d: number) {
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < i; j++) ok(Object.is(x[i * d + j], x[j * d + i]), `at ${i}, ${j}`);
  }
}
