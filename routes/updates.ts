/** `POST /v1/updates`. @module */
import { statelessCall } from "./stateless.ts";

export const updates = statelessCall({
  call: "updates",
  summary: "Preconditioned gradients",
  description:
    "update = (F̂ + λI)⁻¹ gradient, not yet times −learning rate, from exactly one form " +
    "of the curvature: a batch, factors, inverses, eigenbases with eigenvalues or with S, or " +
    "Kronecker terms. A list of dampings answers one update each.",
  example: {
    layers: {
      fc1: {
        kind: "dense",
        bias: false,
        gradient: [[0.1, -0.2, 0.3], [0.4, 0.5, -0.6]],
        A: [[2, 0.5, 0], [0.5, 1, 0.25], [0, 0.25, 3]],
        G: [[1, 0.2], [0.2, 0.5]],
      },
    },
    method: "kfac",
    damping: 0.01,
  },
});
