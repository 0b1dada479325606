/** The rule of calls that need a whole batch: both statistics, and words that agree. @module */
import type * as z from "zod";
import { backpropsFault, type BatchWords } from "./layer_description.ts";
import type { WireTensor } from "./tensor.ts";

interface WithStatistics extends BatchWords {
  inputs?: WireTensor;
  output_gradients?: WireTensor;
}

/** Raises an issue for each layer without `inputs` or `output_gradients`, or with contradicting words. */
export function checkStatistics(
  request: BatchWords & { layers: Record<string, WithStatistics> },
  issues: z.RefinementCtx,
): void {
  for (const [name, layer] of Object.entries(request.layers)) {
    const complain = (field: string, message: string) =>
      issues.addIssue({ code: "custom", path: ["layers", name, field], message });

    for (const field of ["inputs", "output_gradients"] as const) {
      if (layer[field] === undefined) complain(field, `${field} is needed`);
    }
    const fault = backpropsFault(layer, request);
    if (fault !== undefined) complain("backprops", fault);
  }
}
