/** `POST /v1/eigenbases`: eigendecompositions of Kronecker factors. @module */
import * as z from "zod";
import { answered, diagnosed } from "./answer.ts";
import { anyDescription } from "./layer_description.ts";
import { answering, layersOf, symmetric, tensor } from "./schema.ts";

const layer = z.strictObject({
  ...anyDescription,
  A: symmetric("d_a", "factor of the inputs").optional(),
  G: symmetric("d_out", "factor of the output gradients").optional(),
  Q_A: tensor(["[d_a, d_a]", "[groups, d_a, d_a]"], "the last basis of A, a warm start").optional(),
  Q_G: tensor(["[d_out, d_out]", "[groups, d_out, d_out]"], "the last basis of G, a warm start")
    .optional(),
}).superRefine((layer, issues) => {
  const complain = (path: string[], message: string) =>
    issues.addIssue({ code: "custom", path, message });

  if (layer.A === undefined && layer.G === undefined) complain([], "Expected A, G or both");
  if (layer.Q_A !== undefined && layer.A === undefined) complain(["Q_A"], "Q_A is given without A");
  if (layer.Q_G !== undefined && layer.G === undefined) complain(["Q_G"], "Q_G is given without G");
});

export const EigenbasesRequest = z.strictObject({ layers: layersOf(layer), ...answering })
  .meta({ id: "EigenbasesRequest" });
export type EigenbasesRequest = z.infer<typeof EigenbasesRequest>;

export const EigenbasesAnswer = answered("EigenbasesAnswer", {
  Q_A: tensor(["[d_a, d_a]", "[groups, d_a, d_a]"], "eigenvectors of A in columns").optional(),
  lambda_A: tensor(["[d_a]", "[groups, d_a]"], "eigenvalues of A, ascending, unclipped").optional(),
  Q_G: tensor(["[d_out, d_out]", "[groups, d_out, d_out]"], "eigenvectors of G in columns")
    .optional(),
  lambda_G: tensor(["[d_out]", "[groups, d_out]"], "eigenvalues of G, ascending, unclipped")
    .optional(),
  ...diagnosed,
});
