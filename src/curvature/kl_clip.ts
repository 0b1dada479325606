/**
 * KL clip: a whole step is scaled down where the quadratic model says it moves the predictions too far.
 *
 *   ν = min(1, √(κ / |lr² Σ ⟨U, ∇⟩|))
 *
 * Source: Ba, Grosse & Martens 2017 as in kfac-pytorch; the size is taken because a rank-two curvature may be indefinite.
 *
 * @module
 */
import { abs, div, minimum, sqrt, type Tensor1D, tidy } from "@tensorflow/tfjs-core";

/**
 * ν of each damping `[m]`.
 *
 * @param innerProducts `Σ ⟨U, ∇⟩ [m]` over all layers.
 * @param kappa κ > 0. @param learningRate the client's, > 0.
 */
export function klClipFactor(
  innerProducts: Tensor1D,
  { kappa, learningRate }: { kappa: number; learningRate: number },
): Tensor1D {
  return tidy(() => minimum(1, div(Math.sqrt(kappa) / learningRate, sqrt(abs(innerProducts)))));
}
