import { _FusedMatMul, BatchMatMul, Transpose } from "@tensorflow/tfjs-core";
import type { Float32Products } from "../products.ts";
import { GRAM, gram } from "./gram.ts";
import { installKernel } from "./kernel.ts";
import { batchMatMul, fusedMatMul } from "./mat_mul.ts";
import { transpose } from "./transpose.ts";

/** Puts all our kernels into TensorFlow.js's cpu backend; again with other products if called again. */
export function installKernels(products: Float32Products): void {
  installKernel(BatchMatMul, batchMatMul(products));
  installKernel(_FusedMatMul, fusedMatMul(products));
  installKernel(GRAM, gram(products));
  installKernel(Transpose, transpose);
}
