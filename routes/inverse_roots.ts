/** `POST /v1/inverse-roots`. @module */
import { statelessCall } from "./stateless.ts";

export const inverseRoots = statelessCall({
  call: "inverse-roots",
  summary: "Inverse p-th roots",
  description: "M_root = (M + λI)^(−1/p) of any symmetric positive definite M.",
  example: {
    layers: { fc1: { M: [[2, 0.5, 0], [0.5, 1, 0.25], [0, 0.25, 3]] } },
    power: 4,
    damping: 0.000001,
  },
});
