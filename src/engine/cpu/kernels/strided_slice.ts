import {
  slice_util,
  StridedSlice,
  type StridedSliceAttrs,
  type TensorInfo,
  util,
} from "@tensorflow/tfjs-core";
import { areFloat32, type Kernel, originalKernel, output, valuesOf } from "./kernel.ts";

/** Every so many-th value of a box; TensorFlow.js takes microseconds a value. */
export const stridedSlice: Kernel<{ x: TensorInfo }, StridedSliceAttrs> = function stridedSlice(
  call,
) {
  const { inputs: { x }, backend, attrs } = call;
  const info = slice_util.sliceInfo(
    x.shape,
    attrs.begin,
    attrs.end,
    attrs.strides,
    attrs.beginMask,
    attrs.endMask,
    attrs.ellipsisMask,
    attrs.newAxisMask,
    attrs.shrinkAxisMask,
  );
  const isBox = info.isIdentity || info.sliceDim0 || info.isSimpleSlice;
  if (!areFloat32(x) || isBox) return originalKernel(StridedSlice)(call as never) as TensorInfo;

  const { finalShapeSparse: shape, begin, strides } = info;
  const values = valuesOf(backend, x);
  const sizes = [...util.computeStrides(x.shape), 1];
  const last = shape.length - 1, length = shape[last], step = strides[last];
  const taken = new Float32Array(util.sizeFromShape(shape));
  for (let at = 0; at < taken.length; at += length) {
    let from = begin[last];
    for (let axis = last - 1, rest = at / length; axis >= 0; axis--) {
      const place = rest % shape[axis];
      rest = (rest - place) / shape[axis];
      from += (begin[axis] + place * strides[axis]) * sizes[axis];
    }
    for (let i = 0; i < length; i++) taken[at + i] = values[from + i * step];
  }
  return output(backend, info.finalShape, taken);
};
