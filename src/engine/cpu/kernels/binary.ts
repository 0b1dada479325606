/**
 * Elementwise arithmetic of two float32 tensors, broadcast.
 *
 * TensorFlow.js calls a closure for each element and, to broadcast, computes each element's coordinates: 30 to 100 ms for a
 * million of them. Here each operation is a loop of its own over runs in which an operand either advances or stands.
 *
 * @module
 */
import { broadcast_util, type TensorInfo, util } from "@tensorflow/tfjs-core";
import { areFloat32, type Kernel, originalKernel, output, valuesOf } from "./kernel.ts";

/** `c[at…] = x[from…] ∘ y[with…]` over a run of `length`; a step is 1, or 0 where the operand stands. */
type Run = (
  c: Float32Array,
  x: Float32Array,
  y: Float32Array,
  run: { at: number; length: number; x: number; xStep: number; y: number; yStep: number },
) => void;

interface Operands {
  readonly a: TensorInfo;
  readonly b: TensorInfo;
}

/** The kernel of an operation, by its run. */
function binary(name: string, run: Run): Kernel<Operands> {
  return function binary(call) {
    const { inputs: { a, b }, backend } = call;
    if (!areFloat32(a, b)) return originalKernel(name)(call as never) as TensorInfo;
    const shape = broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape);
    const c = new Float32Array(util.sizeFromShape(shape));
    if (c.length > 0) {
      forEachRun(
        shape,
        a.shape,
        b.shape,
        (at, length, x, xStep, y, yStep) =>
          run(c, valuesOf(backend, a), valuesOf(backend, b), { at, length, x, xStep, y, yStep }),
      );
    }
    return output(backend, shape, c);
  };
}

/** One axis of the result, or several merged into one. */
interface Axis {
  size: number;
  readonly xStride: number;
  readonly yStride: number;
}

/** Splits a broadcast into runs over its last axis, after merging axes that both operands walk through alike. */
function forEachRun(
  shape: number[],
  xShape: number[],
  yShape: number[],
  run: (at: number, length: number, x: number, xStep: number, y: number, yStep: number) => void,
): void {
  const axes = mergedAxes(shape, xShape, yShape);
  const last = axes.pop() ?? { size: 1, xStride: 0, yStride: 0 };
  const runs = axes.reduce((product, { size }) => product * size, 1);
  for (let index = 0; index < runs; index++) {
    let x = 0, y = 0;
    for (let axis = axes.length - 1, rest = index; axis >= 0; axis--) {
      const place = rest % axes[axis].size;
      rest = (rest - place) / axes[axis].size;
      x += place * axes[axis].xStride;
      y += place * axes[axis].yStride;
    }
    run(index * last.size, last.size, x, last.xStride, y, last.yStride);
  }
}

function mergedAxes(shape: number[], xShape: number[], yShape: number[]): Axis[] {
  const xStrides = broadcastStrides(xShape, shape.length);
  const yStrides = broadcastStrides(yShape, shape.length);
  const axes: Axis[] = [];
  shape.forEach((size, at) => {
    if (size === 1) return;
    const axis = { size, xStride: xStrides[at], yStride: yStrides[at] };
    const outer = axes.at(-1);
    const isAlike = outer?.xStride === size * axis.xStride && outer.yStride === size * axis.yStride;
    if (isAlike) axes[axes.length - 1] = { ...axis, size: size * outer.size };
    else axes.push(axis);
  });
  return axes;
}

/** Elements from one index to the next along each axis of the result; 0 where the operand has but one. */
function broadcastStrides(shape: number[], rank: number): number[] {
  const strides = new Array<number>(rank).fill(0);
  for (let axis = shape.length - 1, stride = 1; axis >= 0; stride *= shape[axis--]) {
    if (shape[axis] > 1) strides[axis + rank - shape.length] = stride;
  }
  return strides;
}

export const add = binary("Add", (c, x, y, { at, length, x: i, xStep, y: j, yStep }) => {
  for (; length > 0; length--, at++, i += xStep, j += yStep) c[at] = x[i] + y[j];
});

export const subtract = binary("Sub", (c, x, y, { at, length, x: i, xStep, y: j, yStep }) => {
  for (; length > 0; length--, at++, i += xStep, j += yStep) c[at] = x[i] - y[j];
});

export const multiply = binary("Multiply", (c, x, y, { at, length, x: i, xStep, y: j, yStep }) => {
  for (; length > 0; length--, at++, i += xStep, j += yStep) c[at] = x[i] * y[j];
});

export const divide = binary("RealDiv", (c, x, y, { at, length, x: i, xStep, y: j, yStep }) => {
  for (; length > 0; length--, at++, i += xStep, j += yStep) c[at] = x[i] / y[j];
});

export const maximum = binary("Maximum", (c, x, y, { at, length, x: i, xStep, y: j, yStep }) => {
  for (; length > 0; length--, at++, i += xStep, j += yStep) c[at] = Math.max(x[i], y[j]);
});

export const minimum = binary("Minimum", (c, x, y, { at, length, x: i, xStep, y: j, yStep }) => {
  for (; length > 0; length--, at++, i += xStep, j += yStep) c[at] = Math.min(x[i], y[j]);
});
