/**
 * What every stateless answer has in common: timing, warnings, diagnostics, errors of single layers.
 *
 * @module
 */
import * as z from "zod";
import { Problem } from "./problem.ts";

/** Milliseconds, as `Server-Timing` says them too. */
export const Timing = z.strictObject({
  wait_ms: z.number().describe("in the queue"),
  compute_ms: z.number().describe("recording and computing"),
  read_ms: z.number().describe("waiting for the results"),
  store_ms: z.number().optional().describe("writing to the store, of a session's change"),
  total_ms: z.number(),
}).meta({ id: "Timing" });

/** What a factor's result knows about its own error. */
export const Diagnostics = z.strictObject({
  residual: z.number().optional().describe("‖XM−I‖_F/√d, or ‖MQ−QΛ‖_F/‖M‖_F"),
  orthogonality: z.number().optional().describe("‖QᵀQ−I‖_F/√d"),
  condition: z.number().optional().describe("estimate"),
  damping: z.union([z.number(), z.array(z.number())]).optional().describe("λ added to this factor"),
  clipped: z.int().optional().describe("eigenvalues in [−τ, 0] that counted as 0"),
  negative: z.int().optional().describe("eigenvalues below 0"),
  sweeps: z.int().optional(),
  engine: z.enum(["webgpu", "blas", "built-in", "float64"]).optional(),
}).meta({ id: "Diagnostics" });

/** `diagnostics` of a layer, by factor. */
export const diagnosed = { diagnostics: z.record(z.string(), Diagnostics).optional() };

/** How statistics were taken, echoed. */
export const scaled = {
  gradient_scale: z.number().optional().describe("the multiplier applied to output_gradients"),
  fisher: z.enum(["empirical", "sampled", "exact"]).optional(),
  gradient_check: z.number().optional().describe("⟨mean g aᵀ, gradient⟩/‖gradient‖²: 1 is right"),
};

/** The schema of a stateless answer with these fields in each layer. */
export function answered<
  L extends z.ZodRawShape,
  R extends z.ZodRawShape = Record<never, never>,
>(
  id: string,
  layer: L,
  request: R = {} as R,
) {
  return z.strictObject({
    layers: z.record(z.string(), z.strictObject({ ...layer, error: Problem.optional() })),
    ...request,
    timing: Timing,
    warnings: z.array(z.string()),
  }).meta({ id });
}
