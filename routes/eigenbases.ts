/** `POST /v1/eigenbases`. @module */
import { statelessCall } from "./stateless.ts";

export const eigenbases = statelessCall({
  call: "eigenbases",
  summary: "Eigendecompositions of factors",
  description: "A = Q_A diag(lambda_A) Q_Aᵀ, eigenvectors in columns, eigenvalues ascending and " +
    "unclipped; G likewise. The last Q_A, Q_G may be sent along as a warm start.",
  example: {
    layers: { fc1: { A: [[2, 0.5, 0], [0.5, 1, 0.25], [0, 0.25, 3]], G: [[1, 0.2], [0.2, 0.5]] } },
  },
});
