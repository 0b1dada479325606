import { dispose } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import type { Report, Stack } from "@/linalg/mod.ts";
import { sittingAt } from "@/linalg/sitting.ts";
import { DAMPING } from "./matrices.ts";

export type Operation = "eigh" | "inverse";

/** One call with all matrices, as one request makes it; what it answers is dropped but for the reports. */
export async function solve(
  engine: Engine,
  operation: Operation,
  matrices: readonly Stack[],
): Promise<Report[]> {
  const linalg = sittingAt(engine).linearAlgebra({ rescued: new Set(), verifyFully: false });
  const problems = matrices.map((matrix) => ({ name: "M", matrix, shift: DAMPING }));
  const results = operation === "eigh"
    ? await linalg.eigh(problems)
    : await linalg.choleskyInverse(problems);
  for (const result of results) {
    dispose("inverse" in result ? result.inverse : [result.vectors, result.values]);
  }
  return results.flatMap(({ reports }) => reports);
}
