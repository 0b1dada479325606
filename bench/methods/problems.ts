/**
 * The layers that methods are timed on, with Gaussian statistics: for the KPSVD family the slowest data there is, as no pair stands
 * far above the rest.
 *
 * @module
 */
import { randomNormal } from "@tensorflow/tfjs-core";
import {
  Conv2dLayer,
  DenseLayer,
  type KroneckerLayer,
  type MethodName,
  METHODS,
  type Samples,
} from "@/curvature/mod.ts";

export const BATCH = 128;

/** One layer, or several that a coupled method takes together. */
export interface Problem {
  readonly name: string;
  readonly layers: readonly KroneckerLayer[];
  /** Shapes of a layer's inputs and of its output gradients. */
  readonly inputs: readonly number[];
  readonly gradients: readonly number[];
  readonly methods: readonly MethodName[];
  /** Rounds at most of those that iterate. */
  readonly maxIterations: number;
  readonly repeats: number;
}

/** The problems of the table; small ones for a quick look. */
export function problemsOf(size: "full" | "quick"): Problem[] {
  const isFull = size === "full";
  const width = isFull ? 1024 : 128, channels = isFull ? 256 : 16, image = isFull ? 7 : 5;
  const repeats = isFull ? 5 : 3;
  const names = Object.keys(METHODS) as MethodName[];
  const independent = names.filter((name) => !METHODS[name].isCoupled);
  const coupled = names.filter((name) => METHODS[name].isCoupled);
  return [
    {
      name: `dense ${width}x${width}`,
      layers: [dense("dense", width)],
      inputs: [BATCH, width],
      gradients: [BATCH, width],
      methods: independent,
      maxIterations: 1000,
      repeats,
    },
    {
      name: `conv2d ${channels}->${channels} 3x3, ${image}x${image}`,
      layers: [convolution(channels)],
      inputs: [BATCH, image, image, channels],
      gradients: [BATCH, image, image, channels],
      methods: independent,
      // a round multiplies every example's gradient by a matrix of 2305 x 2305: seconds on a processor
      maxIterations: 5,
      repeats: isFull ? 1 : 3,
    },
    {
      name: `3 dense ${width / 2}x${width / 2}, coupled`,
      layers: ["first", "second", "third"].map((name) => dense(name, width / 2)),
      inputs: [BATCH, width / 2],
      gradients: [BATCH, width / 2],
      methods: ["kfac", ...coupled],
      maxIterations: 1000,
      repeats,
    },
  ];
}

/** The statistics of one layer of a problem. */
export function samplesOf({ inputs, gradients }: Problem, layer: KroneckerLayer): Samples {
  return layer.samples({
    inputs: randomNormal([...inputs], 0, 1, "float32", 1),
    outputGradients: randomNormal([...gradients], 0, 1, "float32", 2),
    fisher: "empirical",
    backprops: 1,
    hasBackpropAxis: false,
    gradientScale: 1,
  }) as Samples;
}

function dense(name: string, width: number): DenseLayer {
  const description = { kind: "dense", bias: true, layout: "oi", sharing: "expand" } as const;
  return new DenseLayer(name, description, width, width);
}

function convolution(channels: number): Conv2dLayer {
  return new Conv2dLayer(
    "conv",
    {
      kind: "conv2d",
      bias: true,
      layout: "oihw",
      dataFormat: "nhwc",
      kernelSize: [3, 3],
      strides: [1, 1],
      dilations: [1, 1],
      padding: "same",
      groups: 1,
      sharing: "expand",
      activations: "full",
    },
    [3, 3],
    channels,
    channels,
  );
}
