/**
 * What float32 could not do, done in float64 on the host; and where that fails too, the refusal.
 *
 * A Cholesky pivot that fails at the damping asked for has two causes. Either the matrix is
 * indefinite: its smallest eigenvalue is below −τ, and it is refused with that eigenvalue. Or it is
 * positive semidefinite data blurred by rounding: its eigenvalues in [−τ, 0) count as zero, and the
 * result is built from the eigenvectors, provided there is a damping. Damping is never raised
 * unasked; the refusal names one that would serve.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import type { FailedPivot, Float64 } from "@/engine/host.ts";
import { defaultNegativeTolerance, SERVING_CONDITION, singularPivot } from "./bounds.ts";
import type { Report } from "./linear_algebra.ts";
import {
  apply,
  type Dense,
  eighResidual,
  inverseResidual,
  norm,
  orthogonality,
  plusIdentity,
  spectralNorm,
  whitenerResidual,
} from "./probes.ts";

/** One symmetric matrix to redo. */
export interface Rescue {
  /** For error messages only. */
  readonly name: string;
  /** `M [d, d]`, row-major. */
  readonly matrix: Dense;
  readonly d: number;
  /** τ; without it that of a Gram matrix for inverses, and no limit for eigenvectors. */
  readonly negativeTolerance?: number;
}

export interface ShiftedRescue extends Rescue {
  /** Multiple of the identity to add, in float64. */
  readonly shift: number;
}

/** A float64 result rounded to float32, judged after the rounding. */
export interface Rescued {
  /** `[d, d]`. */
  readonly result: Float32Array<ArrayBuffer>;
  readonly report: Report;
}

/** `(M + shift·I)⁻¹` in float64. @throws CurvdError `not-positive-definite`, `overflow`. */
export async function rescueInverse(float64: Float64, rescue: ShiftedRescue): Promise<Rescued> {
  const { d } = rescue;
  const sound = await soundMatrix(float64, rescue);
  const inverse = sound.spectrum === undefined
    ? await float64.choleskyInverse(sound.matrix, d)
    : fromSpectrum(float64, sound.spectrum, d, (value) => 1 / value);
  if (isFailed(inverse)) throw notPositiveDefinite(rescue, { pivot: inverse });

  const result = rounded(inverse, rescue);
  const residual = inverseResidual(sound.matrix, result, d);
  return { result, report: report(rescue, sound, residual, conditionOf(sound.matrix, inverse, d)) };
}

/** `L⁻¹` of `M + shift·I = L Lᵀ` in float64. @throws CurvdError as {@linkcode rescueInverse}. */
export async function rescueWhitener(float64: Float64, rescue: ShiftedRescue): Promise<Rescued> {
  const { d } = rescue;
  const sound = await soundMatrix(float64, rescue);
  const factor = await float64.cholesky(sound.matrix, d);
  if (isFailed(factor)) throw notPositiveDefinite(rescue, { pivot: factor });

  const whitener = lowerInverse(factor, d);
  const result = rounded(whitener, rescue);
  const inverse = float64.matMul(whitener, whitener, { m: d, k: d, n: d, transposeA: true });
  const residual = whitenerResidual(sound.matrix, result, d);
  return { result, report: report(rescue, sound, residual, conditionOf(sound.matrix, inverse, d)) };
}

/**
 * `(M + shift·I)^(−1/p)` in float64, by eigenvectors. @throws CurvdError as {@linkcode
 * rescueInverse}.
 */
export async function rescueRoot(
  float64: Float64,
  rescue: ShiftedRescue & { readonly root: number },
): Promise<Rescued> {
  const { d, root } = rescue;
  const sound = await soundMatrix(float64, rescue);
  const spectrum = sound.spectrum ?? await float64.eigh(sound.matrix, d);
  if (!(spectrum.values[0] > 0)) {
    throw notPositiveDefinite(rescue, { pivot: { index: 0, value: spectrum.values[0] } });
  }

  const x = fromSpectrum(float64, spectrum, d, (value) => value ** (-1 / root));
  const result = rounded(x, rescue);
  // A root that is no whole number has no power to multiply out: X is then checked against M^(1/p).
  const residual = Number.isInteger(root)
    ? inverseResidual(sound.matrix, result, d, root)
    : inverseResidual(
      fromSpectrum(float64, spectrum, d, (value) => value ** (1 / root)),
      result,
      d,
    );
  const condition = spectrum.values[d - 1] / spectrum.values[0];
  return { result, report: report(rescue, sound, residual, condition) };
}

/** Eigenvectors of `M` in float64. */
export async function rescueEigh(
  float64: Float64,
  rescue: Rescue,
): Promise<
  { vectors: Float32Array<ArrayBuffer>; values: Float32Array<ArrayBuffer>; report: Report }
> {
  const { matrix, d, negativeTolerance } = rescue;
  const m = Float64Array.from(matrix);
  const spectrum = await float64.eigh(m, d);
  if (negativeTolerance !== undefined && spectrum.values[0] < -negativeTolerance) {
    throw indefinite(rescue, spectrum.values, negativeTolerance);
  }
  const vectors = rounded(spectrum.vectors, rescue);
  const values = rounded(spectrum.values, rescue);
  return {
    vectors,
    values,
    report: {
      residual: eighResidual(m, vectors, values, d),
      orthogonality: orthogonality(vectors, d),
      condition: eighCondition(values),
      negative: values.reduce((count, value) => count + Number(value < 0), 0),
      engine: "float64",
    },
  };
}

/**
 * Condition of a symmetric matrix from its eigenvalues: largest over smallest size. Of a singular
 * matrix it is infinite, of the zero matrix 1.
 */
export function eighCondition(values: ArrayLike<number>): number {
  let smallest = Infinity, largest = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]);
    if (Number.isNaN(size)) return NaN;
    smallest = Math.min(smallest, size);
    largest = Math.max(largest, size);
  }
  return largest === 0 ? 1 : largest / smallest;
}

interface Spectrum {
  readonly values: Float64Array;
  readonly vectors: Float64Array;
}

/**
 * A positive definite matrix: `M + shift·I`, or what is left of it once small negative eigenvalues
 * count as zero.
 */
interface Sound {
  readonly matrix: Float64Array;
  /** Eigenvalues (clipped and shifted) and eigenvectors, where they were needed. */
  readonly spectrum?: Spectrum;
  readonly clipped: number;
}

/** Decides what to invert. @throws CurvdError `not-positive-definite` where nothing can be. */
async function soundMatrix(float64: Float64, rescue: ShiftedRescue): Promise<Sound> {
  const { matrix, d, shift } = rescue;
  const tolerance = rescue.negativeTolerance ??
    defaultNegativeTolerance(norm(matrix), d);

  const shifted = plusIdentity(matrix, shift, d);
  const factor = await float64.cholesky(shifted, d);
  const isDefinite = !isFailed(factor) &&
    // A shift above τ would hide an eigenvalue below −τ.
    (shift <= tolerance ||
      !isFailed(await float64.cholesky(plusIdentity(matrix, tolerance, d), d)));
  if (isDefinite) {
    if (shift === 0) refuseSingular(rescue, factor);
    return { matrix: shifted, clipped: 0 };
  }

  const { values, vectors } = await float64.eigh(Float64Array.from(matrix), d);
  if (!(values[0] >= -tolerance)) throw indefinite(rescue, values, tolerance);
  if (!(shift > 0)) {
    const pivot = isFailed(factor) ? factor : { index: 0, value: values[0] };
    throw notPositiveDefinite(rescue, { pivot, values });
  }
  const spectrum = { values: values.map((value) => Math.max(value, 0) + shift), vectors };
  const clipped = values.reduce((count, value) => count + Number(value < 0), 0);
  return { matrix: fromSpectrum(float64, spectrum, d, (value) => value), spectrum, clipped };
}

/** Refuses a pivot that the float32 data does not determine. */
function refuseSingular(rescue: ShiftedRescue, factor: Float64Array): void {
  const { matrix, d } = rescue;
  let largestDiagonal = 0;
  for (let i = 0; i < d; i++) largestDiagonal = Math.max(largestDiagonal, matrix[i * (d + 1)]);
  const limit = singularPivot(largestDiagonal, d);
  for (let index = 0; index < d; index++) {
    const value = factor[index * (d + 1)] ** 2;
    if (!(value > limit)) throw notPositiveDefinite(rescue, { pivot: { index, value }, limit });
  }
}

function report(
  { shift }: ShiftedRescue,
  { clipped }: Sound,
  residual: number,
  condition: number,
): Report {
  return {
    residual,
    condition,
    damping: shift,
    engine: "float64",
    ...(clipped > 0 ? { clipped } : {}),
  };
}

/** `Q f(Λ) Qᵀ`, symmetric to the bit. */
function fromSpectrum(
  float64: Float64,
  { values, vectors }: Spectrum,
  d: number,
  f: (value: number) => number,
): Float64Array<ArrayBuffer> {
  const factors = values.map(f);
  const scaled = vectors.map((value, at) => value * factors[at % d]);
  const product = float64.matMul(scaled, vectors, { m: d, k: d, n: d, transposeB: true });
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < i; j++) product[j * d + i] = product[i * d + j];
  }
  return product;
}

/** `L⁻¹` of a lower triangle, row by row: `xᵢ = (eᵢ − Σ_{k<i} L_ik x_k) / L_ii`. */
function lowerInverse(factor: Float64Array, d: number): Float64Array<ArrayBuffer> {
  const x = new Float64Array(d * d);
  for (let i = 0; i < d; i++) {
    const row = x.subarray(i * d, (i + 1) * d);
    for (let k = 0; k < i; k++) {
      const weight = factor[i * d + k], above = k * d;
      for (let j = 0; j <= k; j++) row[j] -= weight * x[above + j];
    }
    row[i] = 1;
    const pivot = factor[i * (d + 1)];
    for (let j = 0; j <= i; j++) row[j] /= pivot;
  }
  return x;
}

function conditionOf(matrix: Float64Array, inverse: Float64Array, d: number): number {
  return spectralNorm((x) => apply(matrix, x, d), d) * spectralNorm((x) => apply(inverse, x, d), d);
}

/** To float32. @throws CurvdError `overflow` where a value does not fit. */
function rounded(values: Float64Array, { name, d }: Rescue): Float32Array<ArrayBuffer> {
  const result = Float32Array.from(values);
  const index = result.findIndex((value) => !Number.isFinite(value));
  if (index >= 0) {
    throw new CurvdError(
      "overflow",
      `Cannot answer for ${name} as a value does not fit float32: ${values[index]}`,
      { problem: name, value: values[index], index, size: d, limit: 3.4028235e38 },
    );
  }
  return result;
}

function isFailed(result: Float64Array | FailedPivot): result is FailedPivot {
  return !(result instanceof Float64Array);
}

/**
 * The refusal of a matrix with an eigenvalue below −τ, which no damping of the request would mend.
 */
function indefinite(
  rescue: Rescue & { shift?: number },
  values: Float64Array,
  tolerance: number,
): CurvdError {
  const { name, d, shift } = rescue;
  const eigenvalue = values[0];
  const serving = servingShift(values);
  return new CurvdError(
    "not-positive-definite",
    `Cannot use ${name} as it must be positive semidefinite: eigenvalue ${brief(eigenvalue)} ` +
      `is below −${brief(tolerance)}`,
    {
      problem: name,
      value: eigenvalue,
      eigenvalue,
      limit: -tolerance,
      size: d,
      ...(shift === undefined ? {} : { damping: shift }),
      serving,
      suggestion:
        `check how the matrix was computed; with a damping of ${serving} added to its diagonal ` +
        `beforehand it would serve`,
    },
  );
}

/** The refusal of a semidefinite matrix without damping. */
function notPositiveDefinite(
  rescue: ShiftedRescue,
  { pivot, values, limit = 0 }: { pivot: FailedPivot; values?: Float64Array; limit?: number },
): CurvdError {
  const { name, matrix, d, shift } = rescue;
  const serving = servingShift(values ?? [0, spectralNorm((x) => apply(matrix, x, d), d)]);
  return new CurvdError(
    "not-positive-definite",
    `Cannot invert ${name} as it must be positive definite: pivot ${brief(pivot.value)} of row ` +
      `${pivot.index} is not above ${brief(limit)} at damping ${shift}`,
    {
      problem: name,
      value: pivot.value,
      pivot: pivot.value,
      index: pivot.index,
      limit,
      size: d,
      damping: shift,
      serving,
      suggestion: `damping ${serving} would serve`,
    },
  );
}

/**
 * A damping, rounded up to two digits, that brings the condition to {@linkcode SERVING_CONDITION}.
 */
function servingShift(values: ArrayLike<number>): number {
  const smallest = Math.min(values[0], 0);
  const largest = Math.max(Math.abs(values[0]), Math.abs(values[values.length - 1]));
  const exact = largest > 0 ? largest / SERVING_CONDITION - smallest : 1e-3;
  const digit = 10 ** (Math.floor(Math.log10(exact)) - 1);
  return Number((Math.ceil(exact / digit) * digit).toPrecision(2));
}

/** Three digits are enough in a sentence; the facts hold them all. */
function brief(value: number): string {
  return String(Number(value.toPrecision(3)));
}
