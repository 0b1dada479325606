/**
 * Patches of images as rows, and back: what makes a convolution a matrix product.
 *
 * @module
 */
import type { backend_util } from "@tensorflow/tfjs-core";

/** Sizes of a convolution over `[n, h, w, c]`, as TensorFlow.js computes them. */
export type ConvolutionSizes = ReturnType<typeof backend_util.computeConv2DInfo>;

/** Values of a patch matrix at most: 16 MB, of whole images. */
const MOST_VALUES = 2 ** 22;

export function patchLength({ filterHeight, filterWidth, inChannels }: ConvolutionSizes): number {
  return filterHeight * filterWidth * inChannels;
}

/** Images whose patches are taken at a time. */
export function imagesAtOnce(sizes: ConvolutionSizes): number {
  const ofOne = sizes.outHeight * sizes.outWidth * patchLength(sizes);
  return Math.min(sizes.batchSize, Math.max(1, Math.floor(MOST_VALUES / Math.max(ofOne, 1))));
}

/** Fills `patches [count·oh·ow, kh·kw·c]` with the patches of `count` images; 0 beyond the edges. */
export function takePatches(
  patches: Float32Array,
  images: Float32Array,
  count: number,
  sizes: ConvolutionSizes,
): void {
  patches.fill(0);
  eachRun(count, sizes, (patch, image, length) => {
    // a loop: for these few values `set` of a subarray costs more than the copy
    for (let i = 0; i < length; i++) patches[patch + i] = images[image + i];
  });
}

/** Adds patches back to where {@linkcode takePatches} takes them from: its transpose. */
export function addPatches(
  images: Float32Array,
  patches: Float32Array,
  count: number,
  sizes: ConvolutionSizes,
): void {
  eachRun(count, sizes, (patch, image, length) => {
    for (let i = 0; i < length; i++) images[image + i] += patches[patch + i];
  });
}

/** Calls for every run of channels that a patch shares with its image: where it begins in either. */
function eachRun(
  count: number,
  sizes: ConvolutionSizes,
  visit: (patch: number, image: number, length: number) => void,
): void {
  const { inHeight, inWidth, inChannels: channels, outHeight, outWidth } = sizes;
  const { filterHeight, filterWidth, strideHeight, strideWidth } = sizes;
  const { dilationHeight, dilationWidth, padInfo: { top, left } } = sizes;
  let patch = 0;
  for (let n = 0; n < count; n++) {
    const image = n * inHeight * inWidth * channels;
    for (let outRow = 0; outRow < outHeight; outRow++) {
      for (let outColumn = 0; outColumn < outWidth; outColumn++) {
        for (let r = 0; r < filterHeight; r++) {
          const row = outRow * strideHeight - top + r * dilationHeight;
          if (row < 0 || row >= inHeight) {
            patch += filterWidth * channels;
            continue;
          }
          for (let s = 0; s < filterWidth; s++, patch += channels) {
            const column = outColumn * strideWidth - left + s * dilationWidth;
            if (column < 0 || column >= inWidth) continue;
            visit(patch, image + (row * inWidth + column) * channels, channels);
          }
        }
      }
    }
  }
}
