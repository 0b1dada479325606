/** `POST /v1/scalings`: EKFAC's second moments S in a given eigenbasis. @module */
import * as z from "zod";
import { answered, scaled } from "./answer.ts";
import { batch, conv2d, dense, settleBatch, statistics } from "./layer_description.ts";
import { answering, layersOf, tensor } from "./schema.ts";
import { checkStatistics } from "./statistics_rules.ts";

const moments = ["[d_out, d_a]", "[groups, d_out, d_a]"];
const basis = {
  Q_A: tensor(["[d_a, d_a]", "[groups, d_a, d_a]"], "eigenvectors of A in columns"),
  Q_G: tensor(["[d_out, d_out]", "[groups, d_out, d_out]"], "eigenvectors of G in columns"),
  S: tensor(moments, "the last S, averaged in with decay").optional(),
};

const layer = z.discriminatedUnion("kind", [
  z.strictObject({ ...dense, ...batch, ...statistics.dense, ...basis }),
  z.strictObject({ ...conv2d, ...batch, ...statistics.conv2d, ...basis }),
]);

export const ScalingsRequest = z.strictObject({
  layers: layersOf(layer),
  decay: z.number().min(0).max(1).optional().describe("S ← decay·S + (1−decay)·S_batch"),
  ...batch,
  ...answering,
}).superRefine((request, issues) => {
  checkStatistics(request, issues);
  for (const [name, layer] of Object.entries(request.layers)) {
    if (layer.S !== undefined && request.decay === undefined) {
      const path = ["layers", name, "S"];
      issues.addIssue({ code: "custom", path, message: "A last S needs the decay" });
    }
  }
}).transform(settleBatch).meta({ id: "ScalingsRequest" });
export type ScalingsRequest = z.infer<typeof ScalingsRequest>;

export const ScalingsAnswer = answered("ScalingsAnswer", {
  S: tensor(moments, "second moments of the gradient in the eigenbasis, ≥ 0").optional(),
  samples: z.int().optional().describe("examples n"),
  ...scaled,
});
