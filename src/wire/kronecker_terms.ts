/** `POST /v1/kronecker-terms`: the leading Kronecker pairs of the empirical block. @module */
import * as z from "zod";
import { answered, scaled } from "./answer.ts";
import { batch, conv2d, dense, settleBatch, statistics } from "./layer_description.ts";
import { answering, layersOf, tensor, TERM_METHODS } from "./schema.ts";
import { checkStatistics } from "./statistics_rules.ts";

const layer = z.discriminatedUnion("kind", [
  z.strictObject({ ...dense, ...batch, ...statistics.dense }),
  z.strictObject({ ...conv2d, ...batch, ...statistics.conv2d }),
]);

export const KroneckerTermsRequest = z.strictObject({
  layers: layersOf(layer),
  method: z.enum(TERM_METHODS),
  tolerance: z.number().positive().max(1).optional(),
  max_iterations: z.int().min(1).max(10_000).optional(),
  ...batch,
  ...answering,
}).superRefine(checkStatistics).transform(settleBatch).meta({ id: "KroneckerTermsRequest" });
export type KroneckerTermsRequest = z.infer<typeof KroneckerTermsRequest>;

export const KroneckerTermsAnswer = answered("KroneckerTermsAnswer", {
  A_terms: tensor(["[r, d_a, d_a]", "[groups, r, d_a, d_a]"], "F ≈ Σ_r G_r ⊗ A_r").optional(),
  G_terms: tensor(["[r, d_out, d_out]", "[groups, r, d_out, d_out]"], "tr G_1 ≥ 0").optional(),
  singular_values: tensor(["[r]", "[groups, r]"], "of the rearranged block").optional(),
  relative_error: z.number().optional(),
  iterations: z.int().optional(),
  samples: z.int().optional().describe("examples n"),
  ...scaled,
});
