/**
 * The TensorFlow.js kernel `CurvdGram` on WebGPU: `scale·XᵀX`, symmetric to the bit.
 *
 * Half the work of a product: tiles on and below the diagonal, mirrored. The contracted axis is
 * split where there are too few tiles to fill a device, and so that no sum runs over more than
 * about a thousand terms: partial sums lose less to rounding. How it is split follows the shape of
 * one matrix alone, so that its bits do not depend on the batch.
 *
 * @module
 */
import { registerKernel, type TensorInfo, util } from "@tensorflow/tfjs-core";
import { engineOfBackend } from "@/engine/mod.ts";
import { leastSplits, submitProduct } from "../matmul/whole_product_webgpu.ts";

/** Rows of X that one sum runs over. */
const ROWS_PER_SPLIT = 1024;

const TILE = 64;

/** Fewer rows than this are not worth a pass of their own. */
const MIN_ROWS_PER_SPLIT = 128;

/** Partial sums of one matrix take at most this. */
const MAX_PARTIAL_BYTES = 64 * 2 ** 20;

/**
 * @param x `[b, n, d]`
 * @returns `[b, d, d]`
 */
function gram(x: TensorInfo, scale: number, backend: unknown): TensorInfo {
  const engine = engineOfBackend(backend);
  const [batch, n, d] = x.shape;
  if (util.sizeFromShape(x.shape) === 0) return engine.filledInfo([batch, d, d], 0);

  const out = engine.emptyInfo([batch, d, d]);
  const a = engine.bufferOf(x);
  const product = {
    a,
    b: a,
    c: engine.bufferOf(out),
    m: d,
    n: d,
    k: n,
    batch,
    transposeA: true,
    symmetric: true,
    alpha: scale,
  };
  submitProduct(engine, "linalg.gram", product, splitsFor(n, d, engine.tuning.tilesInFlight));
  return out;
}

function splitsFor(n: number, d: number, tilesInFlight: number): number {
  const side = Math.ceil(d / TILE);
  const tiles = side * (side + 1) / 2;
  const forTheDevice = Math.min(tilesInFlight / tiles, n / MIN_ROWS_PER_SPLIT);
  const forAccuracy = n / ROWS_PER_SPLIT;
  const thatFit = Math.floor(MAX_PARTIAL_BYTES / (4 * d * d));
  const wanted = Math.ceil(Math.max(forTheDevice, forAccuracy));
  return Math.max(leastSplits(n), Math.min(wanted, thatFit));
}

registerKernel({
  kernelName: "CurvdGram",
  backendName: "webgpu",
  kernelFunc: ({ inputs, attrs, backend }) =>
    gram(inputs.x as TensorInfo, attrs?.scale as number, backend),
});
