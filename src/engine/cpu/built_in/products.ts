import type { Float32Products } from "../products.ts";
import { gram, matMul } from "./mat_mul.ts";

/** Products in TypeScript: sums run in float64 and are rounded once. */
export const builtInProducts: Float32Products = {
  matMul: (c, a, b, size) => c.set(matMul(a, b, size)),
  gram: (c, x, size) => c.set(gram(x, size)),
};
