import type { TensorInfo } from "@tensorflow/tfjs-core";
import type { Float32Products } from "../products.ts";
import { type Kernel, output, valuesOf } from "./kernel.ts";

/** Name that `linalg` calls the kernel by, on every engine. */
export const GRAM = "CurvdGram";

/** `scale · XᵀX [b, d, d]` of each `x [b, n, d]`, symmetric to the bit. */
export function gram(
  products: Float32Products,
): Kernel<{ x: TensorInfo }, { scale: number }> {
  return function gram({ inputs: { x }, backend, attrs: { scale } }) {
    const [batch, n, d] = x.shape;
    const values = valuesOf(backend, x);
    const c = new Float32Array(batch * d * d);
    if (n > 0) {
      for (let at = 0; at < batch; at++) {
        products.gram(
          c.subarray(at * d * d, (at + 1) * d * d),
          values.subarray(at * n * d, (at + 1) * n * d),
          { n, d, scale },
        );
      }
    }
    return output(backend, [batch, d, d], c);
  };
}
