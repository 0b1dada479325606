/**
 * Matrix products of any batch and any length of the contracted axis, in as many dispatches as a device's limits ask for.
 *
 * A dispatch has at most 65 535 workgroups along an axis. A sum runs over at most {@linkcode LONGEST_SUM} terms, and partial sums are
 * put together: they lose less to rounding, and lavapipe ends every loop of an invocation for good once it has gone round 65 535
 * times in all of them. How a sum is split follows from the shape of one matrix alone, so that its bits do not depend on the batch.
 *
 * @module
 */
import type { WebGpuEngine } from "@/engine/mod.ts";
import { type MatMul, recordMatMul, recordSumSplits } from "./matmul_webgpu.ts";

/** Terms of one sum: eight of them take lavapipe up to 15 rounds of loops. */
const LONGEST_SUM = 2 ** 14;

/** Partial sums take at most this together, or what one matrix takes. */
const PARTIAL_BYTES = 64 * 2 ** 20;

/** A product whose parts and pieces are chosen here. */
export type WholeProduct = Omit<MatMul, "counts" | "firstMatrix" | "splits">;

/** Parts that the contracted axis has at least. */
export function leastSplits(k: number): number {
  return Math.max(1, Math.ceil(k / LONGEST_SUM));
}

/** Submits a product. @throws CurvdError `too-large-to-fit` for one matrix of more tiles than a dispatch can have. */
export function submitProduct(
  engine: WebGpuEngine,
  label: string,
  product: WholeProduct,
  splits: number = leastSplits(product.k),
): void {
  const { m, n, batch = 1, c } = product;
  const recording = engine.record(label);
  const most = Math.floor(engine.device.limits.maxComputeWorkgroupsPerDimension / splits);
  const thatFit = splits === 1 ? batch : Math.floor(PARTIAL_BYTES / (4 * m * n * splits));
  const piece = Math.max(1, Math.min(batch, most, thatFit));
  const part = splits === 1 ? undefined : engine.emptyTensor([piece * splits, m, n]);
  for (let first = 0; first < batch; first += piece) {
    const matrices = { firstMatrix: first, batch: Math.min(piece, batch - first) };
    recordMatMul(recording, {
      ...product,
      ...matrices,
      splits,
      c: part ? engine.bufferOf(part) : c,
    });
    if (part) {
      recordSumSplits(recording, {
        ...matrices,
        part: engine.bufferOf(part),
        c,
        size: m * n,
        splits,
      });
    }
  }
  recording.submit();
  part?.dispose();
}
