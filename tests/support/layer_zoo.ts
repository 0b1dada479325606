/**
 * Layers of every kind and convention, small and rectangular: no swapped size, lost transpose or wrong scale can pass
 * unseen.
 *
 * @module
 */
import type { RequestLayer } from "./calls.ts";
import { convLayer, denseLayer, embeddingLayer, scaleAndShiftLayer } from "./layer_cases.ts";

export const DENSE_LAYERS: Record<string, RequestLayer> = {
  "dense oi with bias": denseLayer({ n: 7, dIn: 4, dOut: 3, seed: 11 }),
  "dense io without bias": denseLayer({
    n: 6,
    dIn: 3,
    dOut: 5,
    bias: false,
    layout: "io",
    seed: 21,
  }),
  "dense of three exact backprops": denseLayer({
    n: 5,
    dIn: 3,
    dOut: 2,
    backprops: 3,
    fisher: "exact",
    layout: "io",
    seed: 31,
  }),
  "dense of two sampled backprops": denseLayer({
    n: 5,
    dIn: 4,
    dOut: 2,
    backprops: 2,
    fisher: "sampled",
    seed: 41,
  }),
  "dense of mean gradients": {
    ...denseLayer({ n: 6, dIn: 2, dOut: 3, seed: 51 }),
    gradient_scale: "mean",
  },
};

export const SHARED_LAYERS: Record<string, RequestLayer> = {
  "dense expand, masked": denseLayer({ n: 6, s: 3, dIn: 3, dOut: 2, masked: true, seed: 61 }),
  "dense expand of two exact backprops": denseLayer({
    n: 5,
    s: 2,
    dIn: 3,
    dOut: 2,
    backprops: 2,
    fisher: "exact",
    bias: false,
    seed: 71,
  }),
  "dense reduce, masked": denseLayer({
    n: 6,
    s: 3,
    dIn: 3,
    dOut: 2,
    sharing: "reduce",
    masked: true,
    layout: "io",
    seed: 81,
  }),
};

export const CONV_LAYERS: Record<string, RequestLayer> = {
  "conv2d oihw, uneven padding and strides": convLayer({
    n: 5,
    channels: 2,
    filters: 3,
    image: [4, 5],
    kernel: [3, 2],
    strides: [2, 1],
    padding: [[1, 0], [0, 2]],
    seed: 91,
  }),
  "conv2d hwio nhwc, same, stride 2": convLayer({
    n: 4,
    channels: 2,
    filters: 2,
    image: [5, 4],
    kernel: [2, 3],
    strides: [2, 2],
    padding: "same",
    layout: "hwio",
    dataFormat: "nhwc",
    seed: 101,
  }),
  "conv2d hwio nchw, dilated, without bias": convLayer({
    n: 4,
    channels: 2,
    filters: 2,
    image: [5, 6],
    kernel: [2, 2],
    dilations: [2, 3],
    bias: false,
    layout: "hwio",
    seed: 111,
  }),
  "conv2d in two groups": convLayer({
    n: 6,
    channels: 4,
    filters: 6,
    image: [3, 4],
    kernel: [2, 2],
    groups: 2,
    seed: 121,
  }),
  "conv2d depthwise hwio nhwc": convLayer({
    n: 5,
    channels: 3,
    filters: 6,
    image: [4, 3],
    kernel: [2, 2],
    groups: 3,
    layout: "hwio",
    dataFormat: "nhwc",
    seed: 131,
  }),
  "conv2d reduce of two exact backprops": convLayer({
    n: 4,
    channels: 2,
    filters: 2,
    image: [3, 3],
    kernel: [2, 2],
    backprops: 2,
    fisher: "exact",
    sharing: "reduce",
    seed: 141,
  }),
  "conv2d oihw nhwc of two sampled backprops": convLayer({
    n: 4,
    channels: 1,
    filters: 2,
    image: [4, 3],
    kernel: [2, 2],
    backprops: 2,
    fisher: "sampled",
    dataFormat: "nhwc",
    seed: 151,
  }),
};

export const EMBEDDINGS: Record<string, RequestLayer> = {
  "embedding": embeddingLayer({ n: 9, vocabulary: 5, dOut: 3, seed: 161 }),
  "embedding of masked sequences": embeddingLayer({
    n: 4,
    s: 3,
    vocabulary: 6,
    dOut: 2,
    masked: true,
    seed: 171,
  }),
};

export const NORMALISATIONS: Record<string, RequestLayer> = {
  "scale_and_shift, diagonal": scaleAndShiftLayer({ n: 6, features: 3, seed: 181 }),
  "scale_and_shift of a sequence, full": scaleAndShiftLayer({
    n: 5,
    s: 4,
    features: 2,
    block: "full",
    seed: 191,
  }),
  "scale_and_shift of two exact backprops, full": scaleAndShiftLayer({
    n: 5,
    features: 3,
    backprops: 2,
    fisher: "exact",
    block: "full",
    seed: 201,
  }),
};

/** The layers whose Fisher block is approximated by Kronecker products. */
export const KRONECKER_LAYERS: Record<string, RequestLayer> = {
  ...DENSE_LAYERS,
  ...SHARED_LAYERS,
  ...CONV_LAYERS,
};
