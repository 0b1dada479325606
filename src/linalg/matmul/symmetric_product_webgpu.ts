/**
 * The TensorFlow.js kernel `CurvdSymmetricProduct` on WebGPU: `op(A) op(B)` that is symmetric, tiles on and below the diagonal,
 * mirrored.
 *
 * @module
 */
import { registerKernel, type TensorInfo, util } from "@tensorflow/tfjs-core";
import { engineOfBackend } from "@/engine/mod.ts";
import { SYMMETRIC_PRODUCT_KERNEL } from "../matrix.ts";
import { submitProduct } from "./whole_product_webgpu.ts";

interface Attributes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/**
 * @param a `[b, d, k]`, or `[b, k, d]` where transposed.
 * @param b `[b, k, d]`, or `[b, d, k]` where transposed.
 * @returns `[b, d, d]`
 */
function symmetricProduct(
  { a, b }: { a: TensorInfo; b: TensorInfo },
  { transposeA, transposeB }: Attributes,
  backend: unknown,
): TensorInfo {
  const engine = engineOfBackend(backend);
  const [batch, rows, columns] = a.shape;
  const [d, k] = transposeA ? [columns, rows] : [rows, columns];
  if (util.sizeFromShape(a.shape) === 0) return engine.filledInfo([batch, d, d], 0);

  const out = engine.emptyInfo([batch, d, d]);
  submitProduct(engine, "linalg.symmetric-product", {
    a: engine.bufferOf(a),
    b: engine.bufferOf(b),
    c: engine.bufferOf(out),
    m: d,
    n: d,
    k,
    batch,
    transposeA,
    transposeB,
    symmetric: true,
  });
  return out;
}

registerKernel({
  kernelName: SYMMETRIC_PRODUCT_KERNEL,
  backendName: "webgpu",
  kernelFunc: ({ inputs, attrs, backend }) =>
    symmetricProduct(
      { a: inputs.a as TensorInfo, b: inputs.b as TensorInfo },
      attrs as unknown as Attributes,
      backend,
    ),
});
