/** `POST /v1/plan`: what a model would cost, before anything is sent. @module */
import * as z from "zod";
import { answered } from "./answer.ts";
import {
  conv2d,
  conv2dSizes,
  dense,
  denseSizes,
  embedding,
  embeddingSizes,
  scaleAndShift,
} from "./layer_description.ts";
import { layersOf, METHODS } from "./schema.ts";

const layer = z.discriminatedUnion("kind", [
  z.strictObject({ ...dense, ...denseSizes }),
  z.strictObject({ ...conv2d, ...conv2dSizes }),
  z.strictObject({ ...embedding, ...embeddingSizes }),
  z.strictObject({ ...scaleAndShift }),
]);

export const PlanRequest = z.strictObject({
  layers: layersOf(layer),
  method: z.enum([...METHODS, "shampoo", "soap"]).default("kfac"),
  n: z.int().min(1).max(2 ** 31 - 1).describe("examples of a batch"),
}).meta({ id: "PlanRequest" });
export type PlanRequest = z.infer<typeof PlanRequest>;

const bytes = z.strictObject({
  session: z.number().describe("what a session of it holds between its calls"),
  device: z.number().describe("at most on the device while a step works, that included"),
  wire: z.number().describe("of a step's batch, gradients and updates, F32"),
});
const stages = z.record(z.string(), z.number());

export const PlanAnswer = answered("PlanAnswer", {
  bytes: bytes.optional(),
  flops: stages.optional().describe("by stage"),
}, {
  bytes: bytes.optional(),
  flops: stages.optional().describe("by stage"),
  estimated_ms: stages.optional().describe("by stage"),
  fits: z.boolean().optional(),
});
