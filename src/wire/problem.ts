/** The problem document of RFC 9457, as every error answers. @module */
import * as z from "zod";

export const Problem = z.looseObject({
  type: z.string().describe("a reference whose last segment is the error's stable code"),
  title: z.string(),
  status: z.int().min(400).max(599),
  detail: z.string(),
  instance: z.string().optional().describe("the request id"),
  layer: z.string().optional(),
  tensor: z.string().optional(),
  pointer: z.string().optional().describe("RFC 6901, into the request document"),
  value: z.unknown().optional().describe("what was found"),
  limit: z.unknown().optional().describe("what it broke"),
  suggestion: z.string().optional().describe("what would work"),
  errors: z.array(z.strictObject({ pointer: z.string(), detail: z.string() })).optional().describe(
    "every fault of the request, at most 20",
  ),
}).meta({ id: "Problem" });
export type Problem = z.infer<typeof Problem>;
