import {
  _FusedMatMul,
  Add,
  BatchMatMul,
  Conv2D,
  Conv2DBackpropFilter,
  Conv2DBackpropInput,
  FusedConv2D,
  Maximum,
  Mean,
  Minimum,
  Multiply,
  PadV2,
  RealDiv,
  Select,
  Slice,
  StridedSlice,
  Sub,
  Sum,
  Transpose,
} from "@tensorflow/tfjs-core";
import type { Float32Products } from "../products.ts";
import { add, divide, maximum, minimum, multiply, subtract } from "./binary.ts";
import { conv2d, conv2dBackpropFilter, conv2dBackpropInput, fusedConv2d } from "./conv2d.ts";
import { GRAM, gram } from "./gram.ts";
import { installKernel } from "./kernel.ts";
import { batchMatMul, fusedMatMul } from "./mat_mul.ts";
import { pad } from "./pad.ts";
import { SANDWICH, sandwich } from "./sandwich.ts";
import { select } from "./select.ts";
import { slice } from "./slice.ts";
import { stridedSlice } from "./strided_slice.ts";
import { mean, sum } from "./sum.ts";
import { SYMMETRIC_PRODUCT, symmetricProduct } from "./symmetric_product.ts";
import { transpose } from "./transpose.ts";

/** Puts all our kernels into TensorFlow.js's cpu backend; again with other products if called again. */
export function installKernels(products: Float32Products): void {
  installKernel(BatchMatMul, batchMatMul(products));
  installKernel(_FusedMatMul, fusedMatMul(products));
  installKernel(Conv2D, conv2d(products));
  installKernel(Conv2DBackpropFilter, conv2dBackpropFilter(products));
  installKernel(Conv2DBackpropInput, conv2dBackpropInput(products));
  installKernel(FusedConv2D, fusedConv2d(products));
  installKernel(GRAM, gram(products));
  installKernel(SYMMETRIC_PRODUCT, symmetricProduct(products));
  installKernel(SANDWICH, sandwich(products));
  installKernel(Transpose, transpose);
  installKernel(Add, add);
  installKernel(Sub, subtract);
  installKernel(Multiply, multiply);
  installKernel(RealDiv, divide);
  installKernel(Maximum, maximum);
  installKernel(Minimum, minimum);
  installKernel(Slice, slice);
  installKernel(StridedSlice, stridedSlice);
  installKernel(PadV2, pad);
  installKernel(Sum, sum);
  installKernel(Mean, mean);
  installKernel(Select, select);
}
