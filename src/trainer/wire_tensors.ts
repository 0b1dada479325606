/**
 * TensorFlow.js's tensors to the wire's, and back.
 *
 * @module
 */
import { type Tensor, tensor } from "@tensorflow/tfjs";
import type { WireTensor } from "@/wire/documents.ts";

/** Reads a tensor off its backend; it stays the caller's. */
export async function toWire(tensor: Tensor): Promise<WireTensor> {
  const data = await tensor.data() as Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;
  return { dtype: data instanceof Int32Array ? "I32" : "F32", shape: tensor.shape, data };
}

/** A new tensor; the caller disposes it. */
export function fromWire({ shape, data }: WireTensor): Tensor {
  return tensor(data, shape as number[], data instanceof Int32Array ? "int32" : "float32");
}
