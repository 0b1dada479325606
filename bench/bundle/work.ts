/**
 * What the GPU bench times: one request's worth of linear algebra, settled.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { type Report, settle, type Stack } from "@/linalg/mod.ts";

export type Operation = "inverse" | "eigh";

/** One request's worth of matrices: what is read is their statuses. */
export async function solveAll(
  engine: Engine,
  operation: Operation,
  matrices: readonly Stack[],
): Promise<Report[]> {
  const { keep } = await settle(engine, async (linalg) => {
    const problems = matrices.map((matrix, i) => ({ name: `M${i}`, matrix, shift: 1e-3 }));
    const results = operation === "eigh"
      ? await linalg.eigh(problems)
      : await linalg.choleskyInverse(problems);
    const tensors: Tensor[] = results.flatMap((result) =>
      "inverse" in result ? [result.inverse] : [result.vectors, result.values]
    );
    dispose(tensors); // timed is the work, judged by its statuses; not the copying of its result
    return { read: [], keep: results.flatMap(({ reports }) => reports) };
  });
  return keep;
}
