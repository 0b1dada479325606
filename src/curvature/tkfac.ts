/**
 * TKFAC: the trace-preserving Kronecker product.
 *
 *   F ≈ δ Ψ ⊗ Φ,   δ = tr F,   Φ = E[|g|² a aᵀ]/δ,   Ψ = E[|a|² g gᵀ]/δ,   tr Φ = tr Ψ = 1
 *   damped (√δ Ψ + √λ I) ⊗ (√δ Φ + √λ I)
 *
 * Φ and Ψ are the partial traces of F. Where weights are shared, `exact` takes them of the per-example gradients,
 * `independent` (the paper's Theorem 4.3) of every location's as if it were an example.
 *
 * Source: Gao et al. 2020, arXiv:2011.10741, Theorem 4.1, equations 4.2–4.9; damping 5.14.
 *
 * @module
 */
import { dispose, maximum, rsqrt, type Tensor1D, tidy } from "@tensorflow/tfjs-core";
import { scaleEach, type Stack } from "@/linalg/mod.ts";
import { kroneckerPreconditioner } from "./kronecker_factors.ts";
import type { LayerMethod, MethodOptions } from "./method.ts";
import type { Samples } from "./samples.ts";

/** The triple whose running average keeps the traces at one: unnormalized. */
export interface TraceFactors {
  /** `δΦ [b, d_in, d_in]`. */
  readonly deltaPhi: Stack;
  /** `δΨ [b, d_out, d_out]`. */
  readonly deltaPsi: Stack;
  /** `δ [b]`. */
  readonly delta: Tensor1D;
}

export const tkfac: LayerMethod<Samples, TraceFactors> = {
  observe(samples, { options }) {
    return Promise.resolve(traceFactors(samples, options));
  },

  async refresh(state, context) {
    const factors = rootFactors(state);
    const options: MethodOptions = { ...context.options, dampingRule: "factored", pi: "off" };
    const preconditioner = await kroneckerPreconditioner(factors, { ...context, options });
    const dispose_ = preconditioner.dispose.bind(preconditioner);
    return Object.assign(preconditioner, {
      dispose() {
        dispose_();
        dispose([factors.A, factors.G]);
      },
    });
  },

  release(state) {
    dispose([state.deltaPhi, state.deltaPsi, state.delta]);
  },
};

/** `δΦ`, `δΨ`, `δ` of a batch; the caller disposes them. */
export function traceFactors(
  samples: Samples,
  { tkfacLocations }: Pick<MethodOptions, "tkfacLocations">,
): TraceFactors {
  const { inputs, grads, trace } = samples.partialTraces(tkfacLocations);
  return { deltaPhi: inputs, deltaPsi: grads, delta: trace };
}

/** `√δ Φ` and `√δ Ψ`, the two factors whose product is δ Ψ ⊗ Φ; zero where δ is. The caller disposes both. */
export function rootFactors({ deltaPhi, deltaPsi, delta }: TraceFactors): { A: Stack; G: Stack } {
  const LEAST = 1e-38; // keeps 1/√δ finite for a batch of zeros
  return tidy(() => {
    const perRoot: Tensor1D = rsqrt(maximum(delta, LEAST));
    return { A: scaleEach(deltaPhi, perRoot), G: scaleEach(deltaPsi, perRoot) };
  });
}
