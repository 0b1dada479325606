import type { TensorInfo } from "@tensorflow/tfjs-core";
import type { Float32Products } from "../products.ts";
import { type Kernel, output, valuesOf } from "./kernel.ts";

/** Name that `linalg` calls the kernel by, on every engine. */
export const SYMMETRIC_PRODUCT = "CurvdSymmetricProduct";

/** `op(A) op(B) [b, d, d]` of products that are symmetric in exact arithmetic, symmetric to the bit. */
export function symmetricProduct(
  products: Float32Products,
): Kernel<{ a: TensorInfo; b: TensorInfo }, { transposeA: boolean; transposeB: boolean }> {
  return function symmetricProduct({ inputs, backend, attrs: { transposeA, transposeB } }) {
    const [batch, rows, columns] = inputs.a.shape;
    const [d, k] = transposeA ? [columns, rows] : [rows, columns];
    const a = valuesOf(backend, inputs.a), b = valuesOf(backend, inputs.b);
    const c = new Float32Array(batch * d * d);
    if (d > 0 && k > 0) {
      for (let at = 0; at < batch; at++) {
        products.symmetric(
          c.subarray(at * d * d, (at + 1) * d * d),
          a.subarray(at * d * k, (at + 1) * d * k),
          b.subarray(at * d * k, (at + 1) * d * k),
          { d, k, transposeA, transposeB },
        );
      }
    }
    return output(backend, [batch, d, d], c);
  };
}
