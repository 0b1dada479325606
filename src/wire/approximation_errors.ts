/** `POST /v1/approximation-errors`: how far each method is from the layer's empirical block. @module */
import * as z from "zod";
import { answered, scaled } from "./answer.ts";
import { batch, conv2d, dense, settleBatch, statistics } from "./layer_description.ts";
import { answering, layersOf, METHODS } from "./schema.ts";
import { checkStatistics } from "./statistics_rules.ts";

const layer = z.discriminatedUnion("kind", [
  z.strictObject({ ...dense, ...batch, ...statistics.dense }),
  z.strictObject({ ...conv2d, ...batch, ...statistics.conv2d }),
]);

export const ApproximationErrorsRequest = z.strictObject({
  layers: layersOf(layer),
  methods: z.array(z.enum(METHODS)).min(1).max(METHODS.length)
    .refine((names) => new Set(names).size === names.length, { error: "A method is named twice" }),
  spectrum: z.boolean().default(false),
  ...batch,
  ...answering,
}).superRefine(checkStatistics).transform(settleBatch).meta({ id: "ApproximationErrorsRequest" });
export type ApproximationErrorsRequest = z.infer<typeof ApproximationErrorsRequest>;

const byMethod = z.record(z.string(), z.number());

export const ApproximationErrorsAnswer = answered("ApproximationErrorsAnswer", {
  errors: byMethod.optional().describe("‖F−F̂‖_F/‖F‖_F by method"),
  spectrum_errors: byMethod.optional().describe("the same of the spectra"),
  samples: z.int().optional().describe("examples n"),
  ...scaled,
});
