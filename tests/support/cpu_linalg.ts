/**
 * What the tests of the cpu engine's linear algebra share: one matrix in, plain arrays out.
 *
 * @module
 */
import { dispose, tensor3d } from "@tensorflow/tfjs-core";
import { ok, rejects } from "node:assert/strict";
import { CurvdError } from "@/errors.ts";
import type { CpuEngine } from "@/engine/mod.ts";
import { CpuLinearAlgebra } from "@/linalg/cpu.ts";
import { eighResidualBound, orthogonalityBound } from "@/linalg/bounds.ts";
import { exactEigh } from "@/linalg/exact_cpu.ts";
import type { EighResult, Report, Stack } from "@/linalg/linear_algebra.ts";
import type { Library } from "./libraries.ts";
import { gramMatrix, logSpaced, withSpectrum } from "./matrices.ts";

export type Matrix = Float32Array<ArrayBuffer>;

export function linalgOf(engine: CpuEngine, verifyFully = false): CpuLinearAlgebra {
  return new CpuLinearAlgebra(engine, { rescued: new Set(), verifyFully });
}

export function stackOf(matrices: readonly Matrix[], d: number): Stack {
  const values = new Float32Array(matrices.length * d * d);
  matrices.forEach((matrix, at) => values.set(matrix, at * d * d));
  return tensor3d(values, [matrices.length, d, d]);
}

/** `‖M‖_F` in float64. */
export function norm(matrix: Matrix): number {
  return Math.sqrt(matrix.reduce((sum, value) => sum + value ** 2, 0));
}

export async function eighOf(engine: CpuEngine, matrix: Matrix, d: number, verifyFully = false) {
  const input = stackOf([matrix], d);
  const [result] = await linalgOf(engine, verifyFully).eigh([{ name: "M", matrix: input }]);
  const read = await readEigh(result);
  dispose(input);
  return read;
}

export async function readEigh({ vectors, values, reports }: EighResult) {
  const read = {
    vectors: (await vectors.data()).slice() as Matrix,
    values: (await values.data()).slice() as Matrix,
    report: reports[0],
  };
  dispose([vectors, values]);
  return read;
}

export async function inverseOf(
  engine: CpuEngine,
  matrix: Matrix,
  d: number,
  shift: number,
  negativeTolerance?: number,
): Promise<{ inverse: Matrix; report: Report }> {
  const input = stackOf([matrix], d);
  try {
    const [{ inverse, reports }] = await linalgOf(engine).choleskyInverse([{
      name: "M",
      matrix: input,
      shift,
      ...(negativeTolerance === undefined ? {} : { negativeTolerance: [negativeTolerance] }),
    }]);
    const values = (await inverse.data()).slice() as Matrix;
    dispose(inverse);
    return { inverse: values, report: reports[0] };
  } finally {
    dispose(input);
  }
}

/** Sides by library: the built-in is for machines without a BLAS and gets the smaller ones. */
export const SIDES: Record<Library, number[]> = {
  blas: [1, 2, 3, 16, 63, 64, 65, 128, 200, 512],
  "built-in": [1, 2, 3, 16, 63, 64, 65, 128, 200],
};

/** Spectra that break careless solvers, at sides around powers of two. */
export const ADVERSARIES: Record<string, (d: number) => Matrix> = {
  zero: (d) => new Float32Array(d * d),
  identity: (d) => withSpectrum(new Float64Array(d).fill(1), d),
  "rank-deficient": (d) => gramMatrix(d, d, Math.ceil(d / 3)),
  repeated: (d) => withSpectrum(Float64Array.from({ length: d }, (_, i) => 1 + i % 3), d),
  "graded over 12 decades": (d) => withSpectrum(logSpaced(d, 12), d),
  "at scale 1e30": (d) => gramMatrix(d, d).map((value) => value * 1e30),
  "at scale 1e-30": (d) => gramMatrix(d, d).map((value) => value * 1e-30),
  indefinite: (d) => withSpectrum(Float64Array.from({ length: d }, (_, i) => i - d / 2), d),
};

export function refused(run: Promise<unknown>, check: (error: CurvdError) => void): Promise<void> {
  return rejects(run, (error) => {
    ok(error instanceof CurvdError, String(error));
    check(error);
    return true;
  });
}

/** Residual, orthogonality and order, computed in float64. */
export async function assertEighBars(engine: CpuEngine, matrix: Matrix, d: number): Promise<void> {
  const { vectors, values, report } = await eighOf(engine, matrix, d);
  const errors = exactEigh(engine.float64, { matrix, norm: norm(matrix), d, vectors, values });
  ok(errors.residual <= eighResidualBound(d), `residual ${errors.residual} at ${d}`);
  ok(
    errors.orthogonality <= orthogonalityBound(d),
    `orthogonality ${errors.orthogonality} at ${d}`,
  );
  for (let i = 1; i < d; i++) ok(values[i - 1] <= values[i], `ascending at ${d}`);
  ok(Number.isFinite(report.residual) && Number.isFinite(report.orthogonality));
}
