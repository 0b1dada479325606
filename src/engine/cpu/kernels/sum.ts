/**
 * `Sum` and `Mean` of float32 over neighbouring axes, accumulated in float64.
 *
 * @module
 */
import {
  backend_util,
  Mean,
  Sum,
  type SumAttrs,
  type TensorInfo,
  util,
} from "@tensorflow/tfjs-core";
import { areFloat32, type Kernel, originalKernel, output, valuesOf } from "./kernel.ts";

function reduction(name: string, isMean: boolean): Kernel<{ x: TensorInfo }, SumAttrs> {
  return function reduction(call) {
    const { inputs: { x }, backend, attrs: { axis, keepDims } } = call;
    const axes = util.parseAxisParam(axis, x.shape);
    const areNeighbours = axes.every((each, at) => at === 0 || each === axes[at - 1] + 1);
    if (!areFloat32(x) || !areNeighbours || axes.length === 0) {
      return originalKernel(name)(call as never) as TensorInfo;
    }
    const [shape, reduced] = backend_util.computeOutAndReduceShapes(x.shape, axes);
    const count = util.sizeFromShape(reduced);
    const inner = util.sizeFromShape(x.shape.slice(axes[axes.length - 1] + 1));
    const sums = sumMiddle(valuesOf(backend, x), { count, inner, size: util.sizeFromShape(shape) });
    if (isMean) { for (let at = 0; at < sums.length; at++) sums[at] /= count; }
    const shown = keepDims ? backend_util.expandShapeToKeepDim(shape, axes) : shape;
    return output(backend, shown, Float32Array.from(sums));
  };
}

/** Sums `[outer, count, inner]` over its middle axis, row after row, so that memory is read in order. */
function sumMiddle(
  values: Float32Array,
  { count, inner, size }: { count: number; inner: number; size: number },
): Float64Array {
  const sums = new Float64Array(size);
  for (let outer = 0, from = 0; outer < size; outer += inner) {
    for (let row = 0; row < count; row++, from += inner) {
      if (inner === 1) sums[outer] += values[from];
      else for (let at = 0; at < inner; at++) sums[outer + at] += values[from + at];
    }
  }
  return sums;
}

export const sum = reduction(Sum, false);
export const mean = reduction(Mean, true);
