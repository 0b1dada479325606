/**
 * TensorFlow.js's own matrix product on WebGPU, kept under another name before ours takes its place.
 *
 * Must be imported before anything of `src/linalg`.
 *
 * @module
 */
import {
  BatchMatMul,
  engine,
  getKernel,
  registerKernel,
  type Tensor3D,
} from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-webgpu";

const NAME = "TfjsBatchMatMul";

registerKernel({ ...getKernel(BatchMatMul, "webgpu"), kernelName: NAME });

/** `tf.matMul(x, x, true)` as TensorFlow.js computes it. */
export function tfjsGram(x: Tensor3D): Tensor3D {
  const inputs = { a: x, b: x };
  return engine().runKernel(NAME, inputs, { transposeA: true, transposeB: false }) as Tensor3D;
}
