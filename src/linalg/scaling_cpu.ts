/**
 * Copies a matrix for LAPACK to overwrite: shifted, and scaled where its numbers come near the ends of float32.
 *
 * @module
 */
import type { ShiftedMatrix } from "./solver_cpu.ts";

/** `M' = scale·M` and `work = M' + shift'·I`; `(M + shift·I)⁻¹ = scale·work⁻¹`. */
export interface Prepared {
  /** `[d, d]`, to be read only: `M` itself where no scaling is needed. */
  readonly matrix: Float32Array<ArrayBuffer>;
  readonly shift: number;
  /** A power of two, so that scaling is exact. */
  readonly scale: number;
}

/** Diagonals between 2⁻³⁰ and 2³⁰ leave room for all sums and squares a factorization forms. */
const LARGEST_EXPONENT = 30;

/**
 * Prepares `M + shift·I`. No entry of a positive semidefinite matrix exceeds its largest diagonal entry, so the diagonal
 * decides the scale; what is not semidefinite fails its factorization and is redone in float64.
 *
 * @param work `[d, d]`, takes what is to be factored.
 */
export function prepare(
  { matrix, d, shift }: Pick<ShiftedMatrix, "matrix" | "d" | "shift">,
  work: Float32Array<ArrayBuffer>,
): Prepared {
  const scale = scaleOf(largestOfDiagonal(matrix, d, shift));
  const scaled = scale === 1 ? matrix : matrix.map((value) => value * scale);
  work.set(scaled);
  const scaledShift = shift * scale;
  for (let i = 0; i < d; i++) work[i * (d + 1)] += scaledShift;
  return { matrix: scaled, shift: scaledShift, scale };
}

/** Multiplies by a power of two in place. */
export function rescale(values: Float32Array, scale: number): void {
  if (scale === 1) return;
  for (let i = 0; i < values.length; i++) values[i] *= scale;
}

/** The power of two that brings a size near 1, where it is near the ends of float32; else 1. */
export function scaleOf(size: number): number {
  if (!(size > 0 && size < Infinity)) return 1;
  const exponent = Math.round(Math.log2(size));
  return Math.abs(exponent) > LARGEST_EXPONENT ? 2 ** -exponent : 1;
}

function largestOfDiagonal(matrix: Float32Array, d: number, shift: number): number {
  let largest = 0;
  for (let i = 0; i < d; i++) largest = Math.max(largest, Math.abs(matrix[i * (d + 1)] + shift));
  return largest;
}
