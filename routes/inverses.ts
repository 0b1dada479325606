/** `POST /v1/inverses`. @module */
import { statelessCall } from "./stateless.ts";

export const inverses = statelessCall({
  call: "inverses",
  summary: "Damped inverses of factors",
  description: "A_inv = (A + π√λ I)⁻¹ and G_inv = (G + √λ/π I)⁻¹, or with damping_rule plain " +
    "(A + λI)⁻¹ and (G + λI)⁻¹. Given alone, a factor has π = 1.",
  example: {
    layers: { fc1: { A: [[2, 0.5, 0], [0.5, 1, 0.25], [0, 0.25, 3]], G: [[1, 0.2], [0.2, 0.5]] } },
    damping: 0.01,
    pi: "trace",
  },
});
