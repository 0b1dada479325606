/** `POST /v1/inverses`: damped inverses of Kronecker factors. @module */
import * as z from "zod";
import { answered, diagnosed } from "./answer.ts";
import { anyDescription } from "./layer_description.ts";
import { answering, damping, layersOf, pi, symmetric, tensor } from "./schema.ts";

const layer = z.strictObject({
  ...anyDescription,
  A: symmetric("d_a", "factor of the inputs").optional(),
  A_diagonal: tensor(["[vocabulary]"], "factor of an embedding's ids").optional(),
  G: symmetric("d_out", "factor of the output gradients").optional(),
}).superRefine((layer, issues) => {
  if (layer.A === undefined && layer.A_diagonal === undefined && layer.G === undefined) {
    issues.addIssue({ code: "custom", message: "Expected A, G or both" });
  }
  if (layer.A !== undefined && (layer.A_diagonal !== undefined || layer.kind === "embedding")) {
    issues.addIssue({
      code: "custom",
      path: ["A"],
      message: "An embedding's factor is A_diagonal, and a layer has one or the other",
    });
  }
});

/** `damping` defaults to 0: what is asked for is then the inverse itself. */
export const InversesRequest = z.strictObject({
  layers: layersOf(layer),
  damping: damping.default(0),
  pi: pi.default("trace"),
  damping_rule: z.enum(["factored", "plain"]).default("factored"),
  ...answering,
}).meta({ id: "InversesRequest" });
export type InversesRequest = z.infer<typeof InversesRequest>;

export const InversesAnswer = answered("InversesAnswer", {
  A_inv: tensor(
    ["[d_a, d_a]", "[d_a(d_a+1)/2]", "[m, d_a, d_a]"],
    "(A + damping)⁻¹; a leading axis m for a list of dampings",
  ).optional(),
  G_inv: tensor(
    ["[d_out, d_out]", "[d_out(d_out+1)/2]", "[m, d_out, d_out]"],
    "(G + damping)⁻¹; a leading axis m for a list of dampings",
  ).optional(),
  pi: z.union([z.number(), z.array(z.number())]).optional().describe("π as used"),
  ...diagnosed,
});
