/**
 * How good is a result? Residuals, orthogonality and condition from a few random ±1 vectors.
 *
 * For a vector p of independent random signs `E‖Rp‖² = ‖R‖_F²`, so a residual costs products of a
 * matrix with a vector (n²) instead of a product of matrices (n³). The signs are a hash of the
 * index: the same on every engine, in every run. The kernels of probe.wgsl are the float32 twin of
 * this file.
 *
 * Source: Hutchinson 1990, the trace estimator applied to RᵀR.
 *
 * @module
 */

/**
 * Vectors a matrix is probed with; the estimate of `‖R‖_F` has a relative deviation of at most
 * 1/√(2·4).
 */
export const PROBES = 4;

export type Dense = Float32Array | Float64Array;

/** The sign of entry `i` of probe `k`: +1 or −1. */
export function sign(k: number, i: number): number {
  // The finalizer of MurmurHash3 over a Weyl sequence: neighbouring indices get independent bits.
  let h = Math.imul(i * PROBES + k + 1, 0x9e3779b9);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) & 1) === 0 ? 1 : -1;
}

/** Probe `k` of length `d`. */
export function probe(k: number, d: number): Float64Array {
  return Float64Array.from({ length: d }, (_, i) => sign(k, i));
}

/** `M + shift·I` in float64, `M [d, d]`. */
export function plusIdentity(matrix: Dense, shift: number, d: number): Float64Array<ArrayBuffer> {
  const sum = Float64Array.from(matrix);
  for (let i = 0; i < d; i++) sum[i * (d + 1)] += shift;
  return sum;
}

/** `y = A x`, `A [d, d]`. */
export function apply(a: Dense, x: Dense, d: number): Float64Array {
  const y = new Float64Array(d);
  for (let i = 0, at = 0; i < d; i++) {
    let sum = 0;
    for (let j = 0; j < d; j++) sum += a[at++] * x[j];
    y[i] = sum;
  }
  return y;
}

/** `y = Aᵀ x`, `A [d, d]`. */
export function applyTransposed(a: Dense, x: Dense, d: number): Float64Array {
  const y = new Float64Array(d);
  for (let i = 0, at = 0; i < d; i++) {
    const factor = x[i];
    for (let j = 0; j < d; j++) y[j] += a[at++] * factor;
  }
  return y;
}

export function norm(x: Dense): number {
  let largest = 0;
  for (const value of x) largest = Math.max(largest, Math.abs(value));
  if (!(largest > 0 && largest < Infinity)) return largest; // also NaN
  let sum = 0;
  for (const value of x) sum += (value / largest) ** 2;
  return largest * Math.sqrt(sum);
}

/** Root of the mean square of the `norms` of {@linkcode PROBES} vectors. */
function meanNorm(norms: number[]): number {
  return norm(Float64Array.from(norms)) / Math.sqrt(norms.length);
}

/**
 * Estimates `‖XᵖM − I‖_F/√d`.
 *
 * @param m the matrix inverted, its shift included, `[d, d]`.
 * @param x `M^(−1/p)`, symmetric.
 */
export function inverseResidual(m: Dense, x: Dense, d: number, p = 1): number {
  const norms = Array.from({ length: PROBES }, (_, k) => {
    const signs = probe(k, d);
    let y = signs;
    for (let i = 0; i < p; i++) y = apply(x, y, d);
    y = apply(m, y, d);
    return norm(y.map((value, i) => value - signs[i]));
  });
  return meanNorm(norms) / Math.sqrt(d);
}

/** Estimates `‖W M Wᵀ − I‖_F/√d` of a whitener `W`. */
export function whitenerResidual(m: Dense, w: Dense, d: number): number {
  const norms = Array.from({ length: PROBES }, (_, k) => {
    const signs = probe(k, d);
    const y = apply(w, apply(m, applyTransposed(w, signs, d), d), d);
    return norm(y.map((value, i) => value - signs[i]));
  });
  return meanNorm(norms) / Math.sqrt(d);
}

/**
 * Estimates the largest `|eigenvalue|` of a symmetric matrix, given as its action, by two power
 * steps.
 */
export function spectralNorm(act: (x: Float64Array) => Float64Array, d: number): number {
  let largest = 0;
  for (let k = 0; k < PROBES; k++) {
    const once = act(probe(k, d));
    const size = norm(once);
    if (Number.isNaN(size)) return NaN;
    if (size === 0) continue;
    largest = Math.max(largest, norm(act(once.map((value) => value / size))));
  }
  return largest;
}

/** Estimates `‖MQ − QΛ‖_F/‖M‖_F`; 0 of a zero matrix. */
export function eighResidual(m: Dense, q: Dense, values: Dense, d: number): number {
  const scale = norm(m);
  if (scale === 0) return 0;
  const norms = Array.from({ length: PROBES }, (_, k) => {
    const signs = probe(k, d);
    const left = apply(m, apply(q, signs, d), d);
    const right = apply(q, signs.map((value, i) => value * values[i]), d);
    return norm(left.map((value, i) => (value - right[i]) / scale));
  });
  return meanNorm(norms);
}

/** Estimates `‖QᵀQ − I‖_F/√d`. */
export function orthogonality(q: Dense, d: number): number {
  const norms = Array.from({ length: PROBES }, (_, k) => {
    const signs = probe(k, d);
    const y = applyTransposed(q, apply(q, signs, d), d);
    return norm(y.map((value, i) => value - signs[i]));
  });
  return meanNorm(norms) / Math.sqrt(d);
}
