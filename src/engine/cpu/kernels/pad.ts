import { PadV2, type PadV2Attrs, type TensorInfo, util } from "@tensorflow/tfjs-core";
import { areFloat32, type Kernel, originalKernel, output, valuesOf } from "./kernel.ts";

/** A tensor with a frame around it, row by row; TensorFlow.js goes element by element. */
export const pad: Kernel<{ x: TensorInfo }, PadV2Attrs> = function pad(call) {
  const { inputs: { x }, backend, attrs: { paddings, constantValue } } = call;
  if (!areFloat32(x) || x.shape.length === 0) {
    return originalKernel(PadV2)(call as never) as TensorInfo;
  }
  const shape = x.shape.map((size, axis) => paddings[axis][0] + size + paddings[axis][1]);
  const strides = [...util.computeStrides(shape), 1];
  const values = valuesOf(backend, x);
  const padded = new Float32Array(util.sizeFromShape(shape)).fill(constantValue);
  const last = shape.length - 1, length = x.shape[last];
  for (let at = 0; at < values.length; at += length) {
    let to = paddings[last][0];
    for (let axis = last - 1, rest = at / length; axis >= 0; axis--) {
      const place = rest % x.shape[axis];
      rest = (rest - place) / x.shape[axis];
      to += (paddings[axis][0] + place) * strides[axis];
    }
    padded.set(values.subarray(at, at + length), to);
  }
  return output(backend, shape, padded);
};
