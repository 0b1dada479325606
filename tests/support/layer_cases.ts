/**
 * Random layers of every kind with their statistics and a gradient, the same in every run.
 *
 * The gradient is not the batch's own mean: a method has to precondition whatever it is given. Output gradients depend on
 * the inputs, so that no factorization of F is nearly exact by accident.
 *
 * @module
 */
import { ids, type RequestLayer, wire } from "./calls.ts";
import { gaussian } from "./matrices.ts";

interface Batch {
  readonly n: number;
  readonly seed: number;
  /** k: `output_gradients` then lead with it. */
  readonly backprops?: number;
  readonly fisher?: "empirical" | "sampled" | "exact";
}

export interface DenseCase extends Batch {
  readonly dIn: number;
  readonly dOut: number;
  readonly bias?: boolean;
  readonly layout?: "oi" | "io";
  /** A shared axis of this length. */
  readonly s?: number;
  readonly sharing?: "expand" | "reduce";
  readonly masked?: boolean;
}

export interface ConvCase extends Batch {
  readonly channels: number;
  readonly filters: number;
  readonly image: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly strides?: readonly [number, number];
  readonly dilations?: readonly [number, number];
  readonly padding?: "valid" | "same" | readonly (readonly [number, number])[];
  readonly groups?: number;
  readonly bias?: boolean;
  readonly layout?: "oihw" | "hwio";
  readonly dataFormat?: "nchw" | "nhwc";
  readonly sharing?: "expand" | "reduce";
}

export interface EmbeddingCase extends Batch {
  readonly vocabulary: number;
  readonly dOut: number;
  readonly s?: number;
  readonly masked?: boolean;
}

export interface ScaleAndShiftCase extends Batch {
  readonly features: number;
  readonly s?: number;
  readonly block?: "diagonal" | "full";
}

export function denseLayer(
  { n, seed, backprops, fisher, dIn, dOut, bias = true, layout = "oi", s, sharing, masked }:
    DenseCase,
): RequestLayer {
  const places = s === undefined ? [n] : [n, s];
  return {
    kind: "dense",
    bias,
    layout,
    ...(sharing ? { sharing } : {}),
    ...statistics([...places, dIn], [...places, dOut], { seed, backprops, fisher }),
    ...(masked ? { mask: maskOf(n, s!) } : {}),
    gradient: random(layout === "oi" ? [dOut, dIn] : [dIn, dOut], seed + 3),
    ...(bias ? { bias_gradient: random([dOut], seed + 4) } : {}),
  };
}

export function convLayer(
  {
    n,
    seed,
    backprops,
    fisher,
    channels,
    filters,
    image,
    kernel,
    strides = [1, 1],
    dilations = [1, 1],
    padding = "valid",
    groups = 1,
    bias = true,
    layout = "oihw",
    dataFormat = "nchw",
    sharing,
  }: ConvCase,
): RequestLayer {
  const [h, w] = [0, 1].map((i) => {
    if (padding === "same") return Math.ceil(image[i] / strides[i]);
    const [before, after] = padding === "valid" ? [0, 0] : padding[i];
    const reach = dilations[i] * (kernel[i] - 1) + 1;
    return Math.floor((image[i] + before + after - reach) / strides[i]) + 1;
  });
  const perGroup = channels / groups;
  const shape = (c: number, [rows, columns]: readonly number[]) =>
    dataFormat === "nchw" ? [n, c, rows, columns] : [n, rows, columns, c];
  return {
    kind: "conv2d",
    kernel_size: kernel,
    strides,
    dilations,
    padding,
    groups,
    bias,
    layout,
    data_format: dataFormat,
    ...(sharing ? { sharing } : {}),
    ...statistics(shape(channels, image), shape(filters, [h, w]), { seed, backprops, fisher }),
    gradient: random(
      layout === "oihw" ? [filters, perGroup, ...kernel] : [...kernel, perGroup, filters],
      seed + 3,
    ),
    ...(bias ? { bias_gradient: random([filters], seed + 4) } : {}),
  };
}

export function embeddingLayer(
  { n, seed, backprops, fisher, vocabulary, dOut, s, masked }: EmbeddingCase,
): RequestLayer {
  const places = s === undefined ? [n] : [n, s];
  const size = n * (s ?? 1);
  const tokens = gaussian([size], seed + 1).map((x) => Math.floor(Math.abs(x) * 7) % vocabulary);
  return {
    kind: "embedding",
    vocabulary,
    ...statistics(places, [...places, dOut], { seed, backprops, fisher }),
    inputs: ids(places, tokens),
    ...(masked ? { mask: maskOf(n, s!) } : {}),
    gradient: random([vocabulary, dOut], seed + 3),
  };
}

export function scaleAndShiftLayer(
  { n, seed, backprops, fisher, features, s, block = "diagonal" }: ScaleAndShiftCase,
): RequestLayer {
  const places = s === undefined ? [n] : [n, s];
  return {
    kind: "scale_and_shift",
    features,
    block,
    ...statistics([...places, features], [...places, features], { seed, backprops, fisher }),
    gradient: random([features], seed + 3),
    bias_gradient: random([features], seed + 4),
  };
}

function random(shape: readonly number[], seed: number) {
  return wire(shape, gaussian([...shape], seed));
}

/** Inputs off the origin, and output gradients whose size follows an input. */
function statistics(
  inputs: readonly number[],
  outputs: readonly number[],
  { seed, backprops, fisher }: Pick<Batch, "seed" | "backprops" | "fisher">,
): RequestLayer {
  const a = gaussian([...inputs], seed + 1).map((x) => x + 0.4);
  const shape = backprops === undefined ? outputs : [backprops, ...outputs];
  const g = gaussian([...shape], seed + 2);
  const perInput = a.length / inputs[0], perOutput = g.length / (outputs[0] * (backprops ?? 1));
  const grads = g.map((value, at) => {
    const example = Math.floor(at / perOutput) % outputs[0];
    return value * (0.5 + Math.abs(a[example * perInput]));
  });
  return {
    inputs: wire(inputs, a),
    output_gradients: wire(shape, grads),
    ...(backprops === undefined ? {} : { backprops }),
    ...(fisher ? { fisher } : {}),
  };
}

/** Sequences of different lengths, the last examples the shortest; at least one place each. */
function maskOf(n: number, s: number) {
  const real = Array.from({ length: n * s }, (_, at) => {
    const example = Math.floor(at / s);
    return Number(at % s < Math.max(1, s - example % s));
  });
  return wire([n, s], real);
}
