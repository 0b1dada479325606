/** Samples of convolutions against TensorFlow.js's own convolution: `⟨P_i, W⟩ = ⟨g_i, conv2d(x_i, W)⟩`. */
import {
  concat,
  conv2d,
  mul,
  pad,
  reshape,
  slice,
  sum,
  type Tensor,
  type Tensor4D,
  tensor4d,
  transpose,
} from "@tensorflow/tfjs-core";
import fc from "fast-check";
import type { Samples } from "@/curvature/mod.ts";
import type { WireTensor } from "@/wire/mod.ts";
import { prepared, withSamples } from "../support/approximations.ts";
import type { RequestLayer } from "../support/calls.ts";
import { cpuTest } from "../support/cpu.ts";
import { convLayer } from "../support/layer_cases.ts";
import { uploadGradient } from "../../src/compute/layers.ts";
import { expectClose } from "./dense_oracle.ts";

/** TensorFlow.js takes no stride together with a dilation. */
const steps = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })).map((strides) => ({
    strides,
    dilations: [1, 1] as [number, number],
  })),
  fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 3 })).map((dilations) => ({
    strides: [1, 1] as [number, number],
    dilations,
  })),
);
const margin = fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 2 }));
const sides = (max: number) => fc.tuple(fc.integer({ min: 1, max }), fc.integer({ min: 1, max }));

const layers = fc.record({
  groups: fc.integer({ min: 1, max: 3 }),
  perGroup: fc.integer({ min: 1, max: 2 }),
  outputsPerGroup: fc.integer({ min: 1, max: 2 }),
  kernel: sides(3),
  extra: sides(3),
  steps,
  padding: fc.oneof(fc.constantFrom("valid" as const, "same" as const), fc.tuple(margin, margin)),
  layout: fc.constantFrom("oihw" as const, "hwio" as const),
  dataFormat: fc.constantFrom("nchw" as const, "nhwc" as const),
  seed: fc.nat(1e6),
}).map(({ groups, perGroup, outputsPerGroup, kernel, extra, steps, ...rest }) =>
  convLayer({
    n: 3,
    channels: groups * perGroup,
    filters: groups * outputsPerGroup,
    groups,
    kernel,
    // at least as large as what the kernel reaches
    image: [0, 1].map((i) => (kernel[i] - 1) * steps.dilations[i] + extra[i]) as [number, number],
    bias: false,
    ...steps,
    ...rest,
  })
);

cpuTest(
  "per-example gradients of a convolution are those of TensorFlow.js's conv2d",
  async (engine) => {
    await fc.assert(
      fc.asyncProperty(layers, async (layer) => {
        const [inner, expected] = await withSamples<Samples>(engine, layer, (samples) => [
          sum(samples.inner(uploadGradient(prepared(layer))), 0),
          directDerivatives(layer),
        ]);
        expectClose("⟨P, W⟩", inner, expected);
      }),
      { numRuns: 60, seed: 20 },
    );
  },
);

/** `⟨g_i, conv2d(x_i, W)⟩ [n]` with the layer's gradient for W. */
function directDerivatives(layer: RequestLayer): Tensor {
  const { layout, data_format, groups, strides, dilations, padding } = layer as {
    layout: string;
    data_format: string;
    groups: number;
    strides: [number, number];
    dilations: [number, number];
    padding: "valid" | "same" | [[number, number], [number, number]];
  };
  const upload = (field: string) => {
    const { shape, data } = layer[field] as WireTensor;
    return tensor4d(data, [...shape] as [number, number, number, number]);
  };
  const channelsLast = (x: Tensor4D): Tensor4D =>
    data_format === "nhwc" ? x : transpose(x, [0, 2, 3, 1]);
  const images = channelsLast(upload("inputs"));
  const W = layout === "hwio"
    ? upload("gradient")
    : transpose(upload("gradient"), [2, 3, 1, 0]) as Tensor4D;
  const isExplicit = Array.isArray(padding);
  const x = isExplicit ? pad(images, [[0, 0], ...padding, [0, 0]]) : images;
  const [c, o] = [x.shape[3] / groups, W.shape[3] / groups];
  const outputs = Array.from({ length: groups }, (_, group) =>
    conv2d(
      slice(x, [0, 0, 0, group * c], [-1, -1, -1, c]),
      slice(W, [0, 0, 0, group * o], [-1, -1, -1, o]),
      strides,
      isExplicit ? "valid" : padding,
      "NHWC",
      dilations,
    ));
  const y = mul(concat(outputs, 3), channelsLast(upload("output_gradients")));
  return sum(reshape(y, [y.shape[0], -1]), 1);
}
