/** `POST /v1/factors`. @module */
import { statelessCall } from "./stateless.ts";

export const factors = statelessCall({
  call: "factors",
  summary: "Kronecker factors of a batch",
  description: "A = Σ a aᵀ/n of a layer's inputs and G = Σ g gᵀ/n of its output gradients. " +
    "Either statistic alone gives its factor alone.",
  example: {
    layers: {
      fc1: {
        kind: "dense",
        bias: true,
        inputs: [[1, 2, 0.5], [0, 1, -1], [2, 0, 1], [-1, 1, 0]],
        output_gradients: [[0.5, -0.25], [1, 0], [-0.5, 0.75], [0.25, 1]],
      },
    },
  },
});
