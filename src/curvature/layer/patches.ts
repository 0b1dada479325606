/**
 * The patches of a convolution: what one output location sees, as a row (im2col).
 *
 * @module
 */
import {
  concat,
  pad,
  reshape,
  slice,
  stack,
  stridedSlice,
  type Tensor,
  type Tensor3D,
  type Tensor4D,
  tidy,
  transpose,
} from "@tensorflow/tfjs-core";

/** Everything about a convolution that its patches depend on. */
export interface PatchGeometry {
  readonly channels: number;
  readonly image: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  /** `[[top, bottom], [left, right]]`, zeros. */
  readonly padding: readonly [readonly [number, number], readonly [number, number]];
  readonly groups: number;
  /** Order of a patch's features: `chw` = (c, u, v) as a row of an oihw kernel, `hwc` = (u, v, c) of an hwio kernel. */
  readonly order: "chw" | "hwc";
}

/** Output rows and columns: `⌊(h + pads − dilation·(k − 1) − 1)/stride⌋ + 1`. */
export function outputImage(
  { image, kernel, strides, dilations, padding }: Omit<
    PatchGeometry,
    "channels" | "groups" | "order"
  >,
): [number, number] {
  const side = (i: 0 | 1) =>
    Math.floor(
      (image[i] + padding[i][0] + padding[i][1] - dilations[i] * (kernel[i] - 1) - 1) / strides[i],
    ) + 1;
  return [side(0), side(1)];
}

/** TensorFlow's `same`: `⌈h/stride⌉` outputs, the odd zero at the end. */
export function samePadding(
  image: readonly [number, number],
  kernel: readonly [number, number],
  strides: readonly [number, number],
  dilations: readonly [number, number],
): [[number, number], [number, number]] {
  const side = (i: 0 | 1): [number, number] => {
    const outputs = Math.ceil(image[i] / strides[i]);
    const reach = (outputs - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1;
    const total = Math.max(0, reach - image[i]);
    return [Math.floor(total / 2), Math.ceil(total / 2)];
  };
  return [side(0), side(1)];
}

/**
 * Cuts the patches of some examples.
 *
 * @param x `[m, h, w, c]`.
 * @returns `[groups, m·T, (c/groups)·kh·kw]`, locations row by row; padding counts as zeros.
 */
export function patches(x: Tensor4D, geometry: PatchGeometry): Tensor3D {
  const { channels, kernel, strides, dilations, padding, groups, order } = geometry;
  const [m] = x.shape;
  const [rows, columns] = outputImage(geometry);
  const perGroup = channels / groups;
  return tidy(() => {
    const padded = padding.flat().some((p) => p > 0)
      ? pad(x, [[0, 0], [...padding[0]], [...padding[1]], [0, 0]])
      : x;
    const shifted: Tensor[] = []; // one a kernel offset: what that tap sees at every location
    for (let u = 0; u < kernel[0]; u++) {
      for (let v = 0; v < kernel[1]; v++) {
        const from = [0, u * dilations[0], v * dilations[1], 0];
        const tap = strides[0] === 1 && strides[1] === 1
          ? slice(padded, from, [m, rows, columns, channels])
          : stridedSlice(
            padded,
            from,
            [
              m,
              from[1] + (rows - 1) * strides[0] + 1,
              from[2] + (columns - 1) * strides[1] + 1,
              channels,
            ],
            [1, strides[0], strides[1], 1],
          );
        shifted.push(reshape(tap, [m * rows * columns, groups, perGroup]));
      }
    }
    const features = order === "hwc" ? concat(shifted, 2) : stack(shifted, 3);
    const together = reshape(features, [
      m * rows * columns,
      groups,
      perGroup * kernel[0] * kernel[1],
    ]);
    return (groups === 1
      ? reshape(together, [1, m * rows * columns, -1])
      : transpose(together, [1, 0, 2])) as Tensor3D;
  });
}
