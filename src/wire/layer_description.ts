/**
 * What a layer is: its kind, shape conventions, and how its statistics were taken (api.md, section 2).
 *
 * @module
 */
import * as z from "zod";
import { tensor } from "./schema.ts";
import type { WireTensor } from "./tensor.ts";

const size = z.int().min(1).max(2 ** 31 - 1);
const pair = z.tuple([size, size]);
const margin = z.tuple([z.int().min(0).max(2 ** 16), z.int().min(0).max(2 ** 16)]);
const padding = z.union([z.enum(["valid", "same"]), z.tuple([margin, margin])], {
  error: 'Expected "valid", "same" or [[top, bottom], [left, right]]',
});
const dataFormat = z.enum(["nchw", "nhwc"]);
const block = z.enum(["diagonal", "full"]);

/**
 * How a batch was taken. Said of the whole request, of a layer, or of both: the layer's word wins.
 */
export const batch = {
  fisher: z.enum(["empirical", "sampled", "exact"]).optional().describe(
    "Which labels the output gradients come from (default empirical)",
  ),
  gradient_scale: z.union([z.enum(["example", "mean"]), z.number().positive()], {
    error: 'Expected "example", "mean" or a number > 0',
  }).optional().describe(
    "Output gradients of each example's own loss, of the batch mean, or to be multiplied by a number (default example)",
  ),
  sharing: z.enum(["expand", "reduce"]).optional().describe(
    "How a shared axis is treated (default expand)",
  ),
  backprops: z.int().min(1).max(65536).optional().describe(
    "k, the leading axis of output_gradients",
  ),
  activations: z.enum(["full", "sua"]).optional().describe(
    "sua: spatially uncorrelated activations, KFC 4.2 (default full)",
  ),
  tkfac_locations: z.enum(["independent", "exact"]).optional(),
};

/** The words of {@linkcode batch}, after a request's and a layer's are merged. */
export interface Batch {
  fisher: "empirical" | "sampled" | "exact";
  gradient_scale: "example" | "mean" | number;
  sharing: "expand" | "reduce";
  backprops?: number;
  activations: "full" | "sua";
  tkfac_locations: "independent" | "exact";
}

export const dense = {
  kind: z.literal("dense"),
  bias: z.boolean().default(true),
  layout: z.enum(["oi", "io"]).default("oi").describe(
    "oi: weights [d_out, d_in] (PyTorch); io: [d_in, d_out] (TensorFlow.js, Keras, JAX)",
  ),
};

export const conv2d = {
  kind: z.literal("conv2d"),
  kernel_size: pair.optional().describe("[kh, kw]; read from the gradient if absent"),
  strides: pair.default([1, 1]),
  padding: padding.default("valid"),
  dilations: pair.default([1, 1]),
  groups: size.default(1),
  bias: z.boolean().default(true),
  data_format: dataFormat.default("nchw"),
  layout: z.enum(["oihw", "hwio"]).default("oihw"),
};

export const embedding = {
  kind: z.literal("embedding"),
  vocabulary: size,
};

export const scaleAndShift = {
  kind: z.literal("scale_and_shift"),
  features: size,
  block: block.default("diagonal"),
};

/** Sizes that no tensor tells: for `plan` and sessions. */
export const denseSizes = { d_in: size, d_out: size };
export const conv2dSizes = { c_in: size, c_out: size, image: pair.describe("[h, w]") };
export const embeddingSizes = { d_out: size };

/** A description where none is needed (`inverses`, `eigenbases`, `inverse-roots`): taken, not used. */
export const anyDescription = {
  kind: z.enum(["dense", "conv2d", "embedding", "scale_and_shift"]).optional(),
  bias: z.boolean().optional(),
  layout: z.enum(["oi", "io", "oihw", "hwio"]).optional(),
  kernel_size: pair.optional(),
  strides: pair.optional(),
  padding: padding.optional(),
  dilations: pair.optional(),
  groups: size.optional(),
  data_format: dataFormat.optional(),
  vocabulary: size.optional(),
  features: size.optional(),
  block: block.optional(),
};

/** `inputs`, `output_gradients` and `mask` of each kind of layer. */
export const statistics = {
  dense: {
    inputs: tensor(["[n, d_in]", "[n, s, d_in]"], "inputs a, without the homogeneous 1").optional(),
    output_gradients: tensor(
      ["[n, d_out]", "[n, s, d_out]", "[k, n, d_out]", "[k, n, s, d_out]"],
      "gradients g of the loss by the pre-activation outputs, per example",
    ).optional(),
    mask: tensor(["[n, s]"], "0 where padded").optional(),
  },
  conv2d: {
    inputs: tensor(["[n, c, h, w]"], "inputs, in data_format").optional(),
    output_gradients: tensor(["[n, c, h, w]", "[k, n, c, h, w]"], "as the output, per example")
      .optional(),
  },
  embedding: {
    inputs: tensor(["[n]", "[n, s]"], "ids in [0, vocabulary)", { integer: true }).optional(),
    output_gradients: tensor(["[n, d_out]", "[n, s, d_out]", "[k, n, s, d_out]"], "per example")
      .optional(),
    mask: tensor(["[n, s]"], "0 where padded").optional(),
  },
  scaleAndShift: {
    inputs: tensor(
      ["[n, f]", "[n, s, f]", "[n, c, h, w]"],
      "the normalised x̂, before scale and shift",
    ).optional(),
    output_gradients: tensor(
      ["[n, f]", "[n, s, f]", "[n, c, h, w]", "[k, n, c, h, w]"],
      "per example",
    ).optional(),
  },
};

export type BatchWords = { [word in keyof typeof batch]?: z.infer<typeof batch[word]> };

/**
 * Merges the request's batch words into its layers: the layer's, else the request's, else the default.
 */
export function settleBatch<L extends BatchWords, R extends BatchWords>(
  request: R & { layers: Record<string, L> },
): R & { layers: Record<string, L & Batch> } {
  const layers = Object.entries(request.layers).map(([name, layer]) => {
    const backprops = layer.backprops ?? request.backprops;
    return [name, {
      ...layer,
      fisher: layer.fisher ?? request.fisher ?? "empirical",
      gradient_scale: layer.gradient_scale ?? request.gradient_scale ?? "example",
      sharing: layer.sharing ?? request.sharing ?? "expand",
      activations: layer.activations ?? request.activations ?? "full",
      tkfac_locations: layer.tkfac_locations ?? request.tkfac_locations ?? "independent",
      ...(backprops === undefined ? {} : { backprops }),
    }] as const;
  });
  return { ...request, layers: Object.fromEntries(layers) };
}

/** A layer that may carry a gradient. */
interface WithGradient {
  kind: string;
  bias?: boolean;
  gradient?: WireTensor;
  bias_gradient?: WireTensor;
}

/** What is wrong between `bias`, `gradient` and `bias_gradient`, with the field at fault. */
export function gradientFault(
  { kind, bias, gradient, bias_gradient }: WithGradient,
): { field: string; message: string } | undefined {
  if (gradient === undefined) {
    return bias_gradient === undefined
      ? undefined
      : { field: "gradient", message: "bias_gradient is given without a gradient" };
  }
  const wantsBias = kind === "scale_and_shift" || (bias ?? false);
  if (wantsBias && bias_gradient === undefined) {
    return {
      field: "bias_gradient",
      message: kind === "scale_and_shift"
        ? "A scale_and_shift layer needs a bias_gradient (of its shift)"
        : "bias is true, so a bias_gradient is needed; say bias: false for a layer without one",
    };
  }
  if (!wantsBias && bias_gradient !== undefined) {
    return { field: "bias_gradient", message: "bias is false, so no bias_gradient can be given" };
  }
}

/** Why a layer's batch words, or the request's in their place, contradict each other. */
export function backpropsFault(layer: BatchWords, request: BatchWords): string | undefined {
  const fisher = layer.fisher ?? request.fisher ?? "empirical";
  const backprops = layer.backprops ?? request.backprops ?? 1;
  if (fisher === "empirical" && backprops > 1) {
    return "Several backprops need fisher: sampled (averaged) or exact (summed)";
  }
}
