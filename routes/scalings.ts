/** `POST /v1/scalings`. @module */
import { statelessCall } from "./stateless.ts";

export const scalings = statelessCall({
  call: "scalings",
  summary: "EKFAC's second moments in an eigenbasis",
  description: "S_ij = E[(Q_Gᵀ ∇W Q_A)²_ij]; with a last S and decay, averaged into it.",
  example: {
    layers: {
      fc1: {
        kind: "dense",
        bias: false,
        inputs: [[1, 2], [0, 1], [2, 0]],
        output_gradients: [[0.5, -0.25], [1, 0], [-0.5, 0.75]],
        Q_A: [[0.6, -0.8], [0.8, 0.6]],
        Q_G: [[1, 0], [0, 1]],
      },
    },
  },
});
