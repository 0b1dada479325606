/** `GET /v1/methods`: the curvature methods on offer. @module */
import * as z from "zod";

/** A method as its registry describes it. */
export const MethodDescription = z.looseObject({
  method: z.string(),
  paper: z.string().optional(),
  parameters: z.record(z.string(), z.unknown()).optional().describe("with their defaults"),
  layers: z.array(z.string()).optional().describe("the kinds of layer it takes"),
}).meta({ id: "MethodDescription" });

export const MethodsAnswer = z.strictObject({ methods: z.array(MethodDescription) })
  .meta({ id: "MethodsAnswer" });
