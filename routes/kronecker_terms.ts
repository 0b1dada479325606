/** `POST /v1/kronecker-terms`. @module */
import { statelessCall } from "./stateless.ts";

export const kroneckerTerms = statelessCall({
  call: "kronecker-terms",
  summary: "Leading Kronecker pairs of the empirical block",
  description:
    "F ≈ Σ_r G_r ⊗ A_r, from the singular pairs of the rearranged block, which is never " +
    "formed.",
  example: {
    layers: {
      fc1: {
        kind: "dense",
        bias: false,
        inputs: [[1, 2], [0, 1], [2, 0]],
        output_gradients: [[0.5, -0.25], [1, 0], [-0.5, 0.75]],
      },
    },
    method: "kpsvd",
  },
});
