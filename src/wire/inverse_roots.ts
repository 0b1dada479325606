/** `POST /v1/inverse-roots`: (M + λI)^(−1/p) of any symmetric positive definite matrix. @module */
import * as z from "zod";
import { answered, diagnosed } from "./answer.ts";
import { anyDescription } from "./layer_description.ts";
import { answering, damping, layersOf, tensor } from "./schema.ts";

const layer = z.strictObject({
  ...anyDescription,
  M: tensor(["[d, d]", "[d(d+1)/2]"], "symmetric positive definite"),
});

/** `damping` defaults to 0: what is asked for is then the root of M itself. */
export const InverseRootsRequest = z.strictObject({
  layers: layersOf(layer),
  power: z.number().min(1).max(1024).describe("p ≥ 1"),
  damping: damping.default(0),
  ...answering,
}).meta({ id: "InverseRootsRequest" });
export type InverseRootsRequest = z.infer<typeof InverseRootsRequest>;

export const InverseRootsAnswer = answered("InverseRootsAnswer", {
  M_root: tensor(["[d, d]", "[d(d+1)/2]", "[m, d, d]"], "(M + λI)^(−1/p)").optional(),
  ...diagnosed,
});
