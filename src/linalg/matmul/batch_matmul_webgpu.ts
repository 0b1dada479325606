/**
 * The TensorFlow.js kernel `BatchMatMul` on WebGPU: ours where its register blocks win, and where a product is too large for
 * one dispatch of TensorFlow.js's, which is taken elsewhere.
 *
 * Source: the kernel it replaces gives each invocation 4 x 4 values of 32 x 32 tiles; with 8 x 8
 * each value loaded serves twice as many products (measured twice as fast from 256 x 256 on).
 *
 * @module
 */
import {
  BatchMatMul,
  type BatchMatMulAttrs,
  broadcast_util,
  getKernel,
  type KernelConfig,
  registerKernel,
  type TensorInfo,
  unregisterKernel,
  util,
} from "@tensorflow/tfjs-core";
import { engineOfBackend } from "@/engine/mod.ts";
import { leastSplits, submitProduct } from "./whole_product_webgpu.ts";

/** Sides below this leave most of an 8 x 8 block empty. */
const MIN_SIDE = 32;

type KernelFunction = KernelConfig["kernelFunc"];

function matMul(original: KernelFunction): KernelFunction {
  return function batchMatMul(call) {
    const { inputs, backend } = call;
    const { transposeA, transposeB } = call.attrs as unknown as BatchMatMulAttrs;
    const [a, b] = [inputs.a as TensorInfo, inputs.b as TensorInfo];

    const [batchA, batchB] = [a, b].map(({ shape }) => util.sizeFromShape(shape.slice(0, -2)));
    const [m, k] = sides(a, transposeA);
    const [kB, n] = sides(b, transposeB);
    const engine = engineOfBackend(backend);
    const batch = Math.max(batchA, batchB);
    // one dispatch of TensorFlow.js has 32 rows a workgroup, and a matrix of the batch
    const most = engine.device.limits.maxComputeWorkgroupsPerDimension;
    const isLarge = batch > most || m > MIN_SIDE * most || leastSplits(k) > 1;
    const isOurs = a.dtype === "float32" && b.dtype === "float32" && k === kB && k > 0 &&
      (Math.min(m, n) >= MIN_SIDE || isLarge) &&
      (batchA === batchB || batchA === 1 || batchB === 1);
    if (!isOurs) return original(call);

    const batchShape = broadcast_util.assertAndGetBroadcastShape(
      a.shape.slice(0, -2),
      b.shape.slice(0, -2),
    );
    const c = engine.emptyInfo([...batchShape, m, n]);
    submitProduct(engine, "linalg.matmul", {
      a: engine.bufferOf(a),
      b: engine.bufferOf(b),
      c: engine.bufferOf(c),
      m,
      n,
      k,
      batch,
      sharesA: batchA === 1,
      sharesB: batchB === 1,
      transposeA,
      transposeB,
    });
    return c;
  };
}

/** Rows and columns of op(X). */
function sides({ shape }: TensorInfo, isTransposed: boolean): number[] {
  const [rows, columns] = shape.slice(-2);
  return isTransposed ? [columns, rows] : [rows, columns];
}

const original = getKernel(BatchMatMul, "webgpu");
unregisterKernel(BatchMatMul, "webgpu");
registerKernel({ ...original, kernelFunc: matMul(original.kernelFunc) });
