/**
 * λ by the Levenberg–Marquardt rule: trust the quadratic model more where it foretold the loss, less where it did not.
 *
 *   ρ = (h(θ+δ) − h(θ)) / (M(δ) − M(0)),   ω = decay^every
 *   ρ > 3/4: λ ← ωλ;   ρ < 1/4 or not a number: λ ← λ/ω
 *
 * Source: Martens & Grosse 2015, arXiv:1503.05671, section 6.5.
 *
 * @module
 */

export interface LevenbergMarquardt {
  /** Of λ in one step. */
  readonly decay: number;
  /** Steps between two adaptations. */
  readonly every: number;
}

/** A step's losses on its own batch, the penalty included, and what the quadratic model foretold. */
export interface StepReport {
  readonly lossBefore: number;
  /** Not a number where the step diverged. */
  readonly lossAfter: number;
  /** `M(δ) − M(0)` < 0. */
  readonly predictedChange: number;
}

/** λ stays in here, whatever the reports say: beyond it a float32 damping has no effect or is all there is. */
export const DAMPING_RANGE = { least: 1e-12, most: 1e12 } as const;

/** The reduction ratio ρ and the next λ. */
export function adaptedDamping(
  damping: number,
  { lossBefore, lossAfter, predictedChange }: StepReport,
  { decay, every }: LevenbergMarquardt,
): { reductionRatio: number; damping: number } {
  const reductionRatio = (lossAfter - lossBefore) / predictedChange;
  const omega = decay ** every;
  const next = reductionRatio > 3 / 4
    ? damping * omega
    : reductionRatio >= 1 / 4
    ? damping
    : damping / omega; // also where the ratio is not a number
  const { least, most } = DAMPING_RANGE;
  return { reductionRatio, damping: Math.min(Math.max(next, least), most) };
}
