/**
 * When a float32 result is good enough to leave the server, for both engines.
 *
 * Every threshold stands here with its reason. What misses one is redone in float64 (rescue.ts), so
 * a bound too tight costs time and one too loose costs digits: they sit at what a sound float32
 * computation reaches with a margin of about ten. NaN misses every bound. `ε = 2⁻²⁴` throughout.
 *
 * @module
 */

/** Unit roundoff of float32. */
export const EPSILON = 2 ** -24;

/**
 * Estimated condition beyond which an inverse is computed in float64: at 1/ε = 1.7e7 a float32
 * inverse has no correct digit, and the estimate may be low by a small factor.
 */
export const CONDITION_LIMIT = 1e7;

/** What a float32 result may miss whatever its condition: rounding of the check itself. */
const RESIDUAL_FLOOR = 1e-6;

/** A residual of 0.1 is a result with one digit, whatever the condition could excuse. */
const RESIDUAL_CEILING = 0.1;

/**
 * The bound on `‖XM − I‖_F/√d` of a float32 inverse.
 *
 * The forward error of Cholesky grows as ε·κ·√d with a constant below 1; measured 1.4e-8·κ at d =
 * 64, a twelfth of this.
 */
export function inverseResidualBound(condition: number, d: number): number {
  return Math.min(3e-8 * condition * Math.sqrt(d) + RESIDUAL_FLOOR, RESIDUAL_CEILING);
}

/** The bound on `‖XᵖM − I‖_F/√d` of a float32 root: an error of X counts p times. */
export function rootResidualBound(condition: number, d: number, root: number): number {
  return Math.min(
    root * (3e-8 * condition * Math.sqrt(d) + RESIDUAL_FLOOR),
    RESIDUAL_CEILING,
  );
}

/**
 * The bound on `‖MQ − QΛ‖_F/‖M‖_F`: ε·d/3, and never below 1e-5, its value at 512.
 *
 * Jacobi in float32 measured 0.9e-6 at 64, 4.3e-6 at 512, 7.8e-6 at 1024.
 */
export function eighResidualBound(d: number): number {
  return 1e-5 * Math.max(1, d / 512);
}

/** The bound on `‖QᵀQ − I‖_F/√d`: ε·d/15, and never below 2e-6, its value at 512. */
export function orthogonalityBound(d: number): number {
  return 2e-6 * Math.max(1, d / 512);
}

/** Whether a float32 inverse (or a whitener, of which this is `LᵀL`) may leave. */
export function isInverseGood(
  { residual, condition }: { residual: number; condition: number },
  d: number,
): boolean {
  return condition <= CONDITION_LIMIT && residual <= inverseResidualBound(condition, d);
}

/** Whether a float32 root may leave. */
export function isRootGood(
  { residual, condition }: { residual: number; condition: number },
  d: number,
  root: number,
): boolean {
  return condition <= CONDITION_LIMIT && residual <= rootResidualBound(condition, d, root);
}

/** Whether a float32 eigendecomposition may leave. */
export function isEighGood(
  { residual, orthogonality }: { residual: number; orthogonality: number },
  d: number,
): boolean {
  return residual <= eighResidualBound(d) && orthogonality <= orthogonalityBound(d);
}

/**
 * The pivot at or below which a float64 Cholesky without damping counts as singular: what came as
 * float32 data does not determine it.
 *
 * @param largestDiagonal the largest entry of the matrix's diagonal.
 */
export function singularPivot(largestDiagonal: number, d: number): number {
  return Math.sqrt(d) * EPSILON * largestDiagonal;
}

/**
 * τ where the caller gave none (a Gram matrix, positive semidefinite but for rounding): an
 * eigenvalue in [−τ, 0) counts as zero.
 *
 * @param frobenius `‖M‖_F`.
 */
export function defaultNegativeTolerance(frobenius: number, d: number): number {
  return (2 * EPSILON + d * 2 ** -23) * frobenius;
}

/** The condition number that a suggested damping aims at: comfortable in float32. */
export const SERVING_CONDITION = 1e6;
