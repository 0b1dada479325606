/**
 * The step along an update, and along the last one, that a quadratic model likes best.
 *
 *   M(δ) = ½ δᵀ(F + (λ+η)I)δ + ∇ᵀδ,   δ = αΔ + μδ₀,   Δ = −U
 *
 * F is the batch's own, by its pairs' directional derivatives: `Δᵀ F δ₀ = w Σ_i ⟨P_i, Δ⟩⟨P_i, δ₀⟩`, summed over layers inside
 * the brackets.
 *
 * Source: Martens & Grosse 2015, arXiv:1503.05671, sections 6.4 and 7.
 *
 * @module
 */

/** Inner products of the gradient ∇, the direction Δ and the last update δ₀ (null at the first step), in float64. */
export interface QuadraticTerms {
  readonly gradientDirection: number; // ∇·Δ
  readonly directionSquared: number; // Δ·Δ
  readonly curvature: number; // Δᵀ F Δ
  readonly previous: {
    readonly gradient: number; // ∇·δ₀
    readonly squared: number; // δ₀·δ₀
    readonly direction: number; // Δ·δ₀
    readonly curvature: number; // δ₀ᵀ F δ₀
    readonly crossCurvature: number; // Δᵀ F δ₀
  } | null;
}

export interface QuadraticStep {
  readonly alpha: number;
  /** 0 without a last update. */
  readonly mu: number;
  /** `M(αΔ + μδ₀) − M(0)`, ≤ 0. */
  readonly predictedChange: number;
}

/** Below this the two directions count as one, and Δ is followed alone. */
const LEAST_DETERMINANT = 1e-12;

/** The minimizer of M. @param damping λ + η. */
export function quadraticStep(terms: QuadraticTerms, damping: number): QuadraticStep {
  const { gradientDirection: b1, previous } = terms;
  const q11 = terms.curvature + damping * terms.directionSquared;
  if (previous) {
    const q12 = previous.crossCurvature + damping * previous.direction;
    const q22 = previous.curvature + damping * previous.squared;
    const b2 = previous.gradient;
    const determinant = q11 * q22 - q12 * q12;
    if (determinant > LEAST_DETERMINANT * q11 * q22) {
      const alpha = (q12 * b2 - q22 * b1) / determinant;
      const mu = (q12 * b1 - q11 * b2) / determinant;
      return { alpha, mu, predictedChange: (b1 * alpha + b2 * mu) / 2 };
    }
  }
  const alpha = q11 > 0 ? -b1 / q11 : 0;
  return { alpha, mu: 0, predictedChange: b1 * alpha / 2 };
}

/** `w Σ_i x_i y_i` in float64. */
export function weightedProduct(x: Float32Array, y: Float32Array, weight: number): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return weight * sum;
}
