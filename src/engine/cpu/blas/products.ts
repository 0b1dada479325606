import { mirrorLower } from "../mirror.ts";
import type { Float32Products } from "../products.ts";
import type { Blas } from "./blas.ts";

/** Products by sgemm and ssyrk. */
export function blasProducts(blas: Blas): Float32Products {
  return {
    matMul: (c, a, b, size) => blas.gemm(c, a, b, size),
    gram: (c, x, size) => {
      blas.syrk(c, x, size);
      mirrorLower(c, size.d);
    },
    symmetric: (c, a, b, size) => {
      blas.lowerProduct(c, a, b, size);
      mirrorLower(c, size.d);
    },
  };
}
