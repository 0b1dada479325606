/** `POST /v1/approximation-errors`. @module */
import { statelessCall } from "./stateless.ts";

export const approximationErrors = statelessCall({
  call: "approximation-errors",
  summary: "How far each method is from the empirical block",
  description: "‖F − F̂‖_F/‖F‖_F of each layer and method, without forming F.",
  example: {
    layers: {
      fc1: {
        kind: "dense",
        bias: false,
        inputs: [[1, 2], [0, 1], [2, 0]],
        output_gradients: [[0.5, -0.25], [1, 0], [-0.5, 0.75]],
      },
    },
    methods: ["kfac", "ekfac"],
  },
});
