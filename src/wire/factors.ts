/** `POST /v1/factors`: the Kronecker factors of one batch. @module */
import * as z from "zod";
import { answered, scaled } from "./answer.ts";
import {
  backpropsFault,
  batch,
  conv2d,
  dense,
  embedding,
  scaleAndShift,
  settleBatch,
  statistics,
} from "./layer_description.ts";
import { answering, layersOf, symmetric, tensor } from "./schema.ts";

const layer = z.discriminatedUnion("kind", [
  z.strictObject({ ...dense, ...batch, ...statistics.dense }),
  z.strictObject({ ...conv2d, ...batch, ...statistics.conv2d }),
  z.strictObject({ ...embedding, ...batch, ...statistics.embedding }),
  z.strictObject({ ...scaleAndShift, ...batch, ...statistics.scaleAndShift }),
]);

/** Either of a layer's two statistics may be left out; then its factor is. */
export const FactorsRequest = z.strictObject({ layers: layersOf(layer), ...batch, ...answering })
  .superRefine((request, issues) => {
    for (const [name, layer] of Object.entries(request.layers)) {
      const fault = layer.inputs === undefined && layer.output_gradients === undefined
        ? "Expected inputs, output_gradients or both"
        : backpropsFault(layer, request);
      if (fault !== undefined) {
        issues.addIssue({ code: "custom", path: ["layers", name], message: fault });
      }
    }
  })
  .transform(settleBatch).meta({ id: "FactorsRequest" });
export type FactorsRequest = z.infer<typeof FactorsRequest>;

export const FactorsAnswer = answered("FactorsAnswer", {
  A: symmetric("d_a", "A of the inputs").optional(),
  A_diagonal: tensor(["[vocabulary]"], "A of an embedding").optional(),
  G: symmetric("d_out", "G of the output gradients").optional(),
  F: tensor(["[2f]", "[2f, 2f]", "[2f(2f+1)/2]"], "the block of a scale_and_shift").optional(),
  ...scaled,
  samples: z.int().optional().describe("examples n"),
});
