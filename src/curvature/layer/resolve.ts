/**
 * From a description and the shapes of what came with it to a layer whose sizes are known and agree.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { Conv2dLayer } from "./conv2d.ts";
import { DenseLayer } from "./dense.ts";
import { EmbeddingLayer } from "./embedding.ts";
import {
  type Conv2dDescription,
  type DenseDescription,
  type EmbeddingDescription,
  expectShape,
  type Layer,
  type LayerDescription,
  misshapen,
  type ScaleAndShiftDescription,
  type Shapes,
} from "./layer.ts";
import { outputImage } from "./patches.ts";
import { ScaleAndShiftLayer } from "./scale_and_shift.ts";

/** Sizes that a caller states where no tensor tells them; without the homogeneous 1. */
export interface Sizes {
  readonly dIn?: number;
  readonly dOut?: number;
}

/**
 * The layer of a description, checked against every tensor that came with it.
 *
 * @param backpropAxis whether `output_gradients` has a leading axis of backprops.
 * @throws CurvdError `invalid-tensor` naming layer and tensor where two disagree, `invalid-request` where a size is nowhere told.
 */
export function resolveLayer(
  name: string,
  description: LayerDescription,
  shapes: Shapes,
  { backpropAxis = false, sizes = {} }: { backpropAxis?: boolean; sizes?: Sizes } = {},
): Layer {
  switch (description.kind) {
    case "dense":
      return resolveDense(name, description, shapes, sizes, backpropAxis);
    case "conv2d":
      return resolveConv2d(name, description, shapes, sizes, backpropAxis);
    case "embedding":
      return resolveEmbedding(name, description, shapes, sizes, backpropAxis);
    case "scale_and_shift":
      return resolveScaleAndShift(name, description, shapes, backpropAxis);
  }
}

function resolveDense(
  name: string,
  description: DenseDescription,
  shapes: Shapes,
  sizes: Sizes,
  backpropAxis: boolean,
): DenseLayer {
  const { bias, layout } = description;
  const { gradient, inputs, output_gradients: grads } = shapes;
  const [rows, columns] = gradient ?? [];
  const dA = side(shapes, INPUT_FACTORS);
  const dOut = sizes.dOut ?? (layout === "oi" ? rows : columns) ?? grads?.at(-1) ??
    side(shapes, GRAD_FACTORS);
  const dIn = sizes.dIn ?? (layout === "oi" ? columns : rows) ?? inputs?.at(-1) ??
    (dA === undefined ? undefined : dA - Number(bias));
  if (dOut === undefined && !inputs) throw untold(name, "d_out");
  if (dIn === undefined && !grads) throw untold(name, "d_in");

  const layer = new DenseLayer(name, description, dIn ?? 0, dOut ?? 0);
  for (const field of ["gradient", "previous_update"]) {
    expectShape(
      name,
      field,
      shapes[field],
      layout === "oi" ? [dOut!, dIn!] : [dIn!, dOut!],
      layout === "oi" ? `d_out = ${dOut}, d_in = ${dIn}` : `d_in = ${dIn}, d_out = ${dOut}`,
    );
  }
  expectBiases(name, shapes, dOut);
  expectFactors(name, shapes, { groups: 1, dIn: layer.dIn, dOut: dOut ?? null, bias });
  if (inputs || grads) {
    const places = inputs?.slice(0, -1) ?? grads!.slice(Number(backpropAxis), -1);
    if (places.length < 1 || places.length > 2) {
      throw inputs
        ? misshapen(name, "inputs", inputs, "[n, d_in] or [n, s, d_in]")
        : misshapen(name, "output_gradients", grads!, backpropAxis ? "[k, n, …]" : "[n, …]");
    }
    const axes = places.join(", ");
    expectShape(name, "inputs", inputs, [...places, dIn!], `${axes}, d_in = ${dIn}`);
    expectGrads(name, grads, [...places, dOut ?? null], `${axes}, d_out = ${dOut}`, backpropAxis);
    expectShape(name, "mask", shapes.mask, places, axes);
    if (shapes.mask && places.length !== 2) {
      throw misshapen(name, "inputs", inputs ?? grads!, "[n, s, d_in] where there is a mask");
    }
  }
  return layer;
}

function resolveConv2d(
  name: string,
  description: Conv2dDescription,
  shapes: Shapes,
  sizes: Sizes,
  backpropAxis: boolean,
): Conv2dLayer {
  const { layout, dataFormat, groups, bias } = description;
  const { gradient, inputs, output_gradients: grads } = shapes;
  const last = dataFormat === "nhwc";
  const [kh, kw, perGroup, filtersOfKernel] = gradient
    ? layout === "oihw" ? [gradient[2], gradient[3], gradient[1], gradient[0]] : gradient
    : [];
  const kernel = description.kernelSize ?? (gradient ? [kh, kw] as const : null);
  if (!kernel) throw untold(name, "kernel_size");
  const dA = side(shapes, INPUT_FACTORS);
  const channelsOf = (shape: readonly number[]) => last ? shape.at(-1)! : shape.at(-3)!;
  const channels = sizes.dIn ?? (perGroup === undefined ? undefined : perGroup * groups) ??
    (inputs && channelsOf(inputs)) ??
    (dA === undefined ? undefined : (dA - Number(bias)) / (kernel[0] * kernel[1]) * groups);
  const dG = side(shapes, GRAD_FACTORS);
  const filters = sizes.dOut ?? filtersOfKernel ?? (grads && channelsOf(grads)) ??
    (dG === undefined ? undefined : dG * groups);
  if (filters === undefined && !inputs) throw untold(name, "c_out");
  if (channels === undefined && !grads) throw untold(name, "c_in");

  const layer = new Conv2dLayer(name, description, kernel, channels ?? 0, filters ?? 0);
  for (const field of ["gradient", "previous_update"]) {
    const [o, c] = [filters ?? null, channels === undefined ? null : channels / groups];
    expectShape(
      name,
      field,
      shapes[field],
      layout === "oihw" ? [o, c, ...kernel] : [...kernel, c, o],
      layout === "oihw"
        ? `c_out = ${o}, c_in/groups = ${c}, ${kernel.join(", ")}`
        : `${kernel.join(", ")}, c_in/groups = ${c}, c_out = ${o}`,
    );
  }
  expectBiases(name, shapes, filters);
  expectFactors(name, shapes, {
    groups,
    dIn: channels === undefined ? null : layer.dIn,
    dOut: filters === undefined ? null : layer.dOut,
    bias,
  });
  if (inputs) {
    expectShape(
      name,
      "inputs",
      inputs,
      last ? [null, null, null, channels!] : [null, channels!, null, null],
      last ? `n, h, w, c = ${channels}` : `n, c = ${channels}, h, w`,
    );
  }
  if (inputs) {
    const [h, w] = last ? inputs.slice(1, 3) : inputs.slice(2);
    const image = outputImage(layer.geometry([h, w]));
    if (image.some((places) => places < 1)) {
      throw misshapen(name, "inputs", inputs, "an image no smaller than the kernel's reach");
    }
    const n = inputs[0];
    expectGrads(
      name,
      grads,
      last ? [n, ...image, filters ?? null] : [n, filters ?? null, ...image],
      last
        ? `n = ${n}, h = ${image[0]}, w = ${image[1]}, c_out = ${filters}`
        : `n = ${n}, c_out = ${filters}, h = ${image[0]}, w = ${image[1]}`,
      backpropAxis,
    );
  } else if (grads) {
    expectGrads(
      name,
      grads,
      last ? [null, null, null, filters!] : [null, filters!, null, null],
      last ? `n, h, w, c_out = ${filters}` : `n, c_out = ${filters}, h, w`,
      backpropAxis,
    );
  }
  return layer;
}

function resolveEmbedding(
  name: string,
  description: EmbeddingDescription,
  shapes: Shapes,
  sizes: Sizes,
  backpropAxis: boolean,
): EmbeddingLayer {
  const { vocabulary } = description;
  const { inputs, output_gradients: grads } = shapes;
  const dOut = sizes.dOut ?? shapes.gradient?.at(-1) ?? grads?.at(-1) ?? side(shapes, GRAD_FACTORS);
  if (dOut === undefined && !inputs) throw untold(name, "d_out");
  for (const field of ["gradient", "previous_update"]) {
    expectShape(
      name,
      field,
      shapes[field],
      [vocabulary, dOut ?? null],
      `vocabulary = ${vocabulary}, d_out = ${dOut}`,
    );
  }
  for (const field of ["A_diagonal", "A_inv"]) {
    expectShape(name, field, shapes[field], [vocabulary], `vocabulary = ${vocabulary}`);
  }
  for (const field of ["G", "G_inv"]) {
    expectSquare(name, field, shapes[field], 1, dOut ?? null, `d_out = ${dOut}`);
  }
  if (inputs) {
    expectGrads(
      name,
      grads,
      [...inputs, dOut ?? null],
      `${inputs.join(", ")}, d_out = ${dOut}`,
      backpropAxis,
    );
    expectShape(name, "mask", shapes.mask, inputs, inputs.join(", "));
    if (shapes.mask && inputs.length !== 2) {
      throw misshapen(name, "inputs", inputs, "[n, s] where there is a mask");
    }
  }
  return new EmbeddingLayer(name, description, dOut ?? 0);
}

function resolveScaleAndShift(
  name: string,
  description: ScaleAndShiftDescription,
  shapes: Shapes,
  backpropAxis: boolean,
): ScaleAndShiftLayer {
  const { features } = description;
  const { inputs, output_gradients: grads, F } = shapes;
  for (
    const field of ["gradient", "bias_gradient", "previous_update", "previous_bias_update"]
  ) {
    expectShape(name, field, shapes[field], [features], `features = ${features}`);
  }
  if (inputs) {
    const places = inputs.slice(0, -1);
    expectShape(
      name,
      "inputs",
      inputs,
      [...places, features],
      `${places.join(", ")}, features = ${features}`,
    );
    expectGrads(name, grads, inputs, inputs.join(", "), backpropAxis);
    if (shapes.mask) expectShape(name, "mask", shapes.mask, places, places.join(", "));
  }
  const d = 2 * features;
  if (F) {
    const packed = d * (d + 1) / 2;
    const fits = description.block === "full"
      ? (F.length === 2 && F[0] === d && F[1] === d) || (F.length === 1 && F[0] === packed)
      : F.length === 1 && F[0] === d;
    if (!fits) {
      throw misshapen(name, "F", F, description.block === "full" ? `[${d}, ${d}]` : `[${d}]`);
    }
  }
  return new ScaleAndShiftLayer(name, description);
}

const INPUT_FACTORS = ["A", "A_inv", "Q_A", "A_terms"];
const GRAD_FACTORS = ["G", "G_inv", "Q_G", "G_terms"];

/** The last side of the first of these that came whole; a packed one tells it by its length. */
function side(shapes: Shapes, fields: readonly string[]): number | undefined {
  for (const field of fields) {
    const shape = shapes[field];
    if (!shape) continue;
    return shape.length === 1 ? packedSide(shape[0]) : shape.at(-1);
  }
}

/** d of a packed triangle of `length = d(d+1)/2` values; NaN where there is none. */
export function packedSide(length: number): number {
  const d = Math.floor((Math.sqrt(8 * length + 1) - 1) / 2);
  return d * (d + 1) / 2 === length ? d : NaN;
}

function expectFactors(
  name: string,
  shapes: Shapes,
  { groups, dIn, dOut, bias }: {
    groups: number;
    dIn: number | null;
    dOut: number | null;
    bias: boolean;
  },
): void {
  const inputSide = `${dIn}${bias ? " with the bias" : ""}`;
  for (const field of ["A", "A_inv", "Q_A"]) {
    expectSquare(name, field, shapes[field], groups, dIn, inputSide);
  }
  for (const field of ["G", "G_inv", "Q_G"]) {
    expectSquare(name, field, shapes[field], groups, dOut, `${dOut}`);
  }
  const leading = groups === 1 ? [] : [groups];
  const g = groups === 1 ? "" : `groups = ${groups}, `;
  expectShape(name, "lambda_A", shapes.lambda_A, [...leading, dIn], g + inputSide);
  expectShape(name, "lambda_G", shapes.lambda_G, [...leading, dOut], `${g}${dOut}`);
  expectShape(name, "S", shapes.S, [...leading, dOut, dIn], `${g}${dOut}, ${inputSide}`);
  const { A_terms, G_terms } = shapes;
  const r = A_terms?.at(-3) ?? null;
  expectShape(name, "A_terms", A_terms, [...leading, null, dIn, dIn], `${g}r, d_a, d_a`);
  expectShape(name, "G_terms", G_terms, [...leading, r, dOut, dOut], `${g}r = ${r}, d_out, d_out`);
}

function expectSquare(
  name: string,
  field: string,
  shape: readonly number[] | undefined,
  groups: number,
  d: number | null,
  meaning: string,
): void {
  if (!shape) return;
  if (shape.length === 1 && groups === 1 && !field.startsWith("Q")) {
    const packed = packedSide(shape[0]);
    if (d === null ? !Number.isNaN(packed) : packed === d) return;
    throw misshapen(
      name,
      field,
      shape,
      d === null ? "d(d+1)/2 long" : `[${d}, ${d}] or packed, [${d * (d + 1) / 2}]`,
    );
  }
  const sides = d ?? shape.at(-1)!;
  expectShape(
    name,
    field,
    shape,
    groups === 1 ? [sides, sides] : [groups, sides, sides],
    groups === 1 ? `${meaning}, ${meaning}` : `groups = ${groups}, ${meaning}, ${meaning}`,
  );
}

function expectBiases(name: string, shapes: Shapes, dOut: number | undefined): void {
  for (const field of ["bias_gradient", "previous_bias_update"]) {
    expectShape(name, field, shapes[field], [dOut ?? null], `d_out = ${dOut}`);
  }
}

function expectGrads(
  name: string,
  shape: readonly number[] | undefined,
  expected: readonly (number | null)[],
  meaning: string,
  backpropAxis: boolean,
): void {
  expectShape(
    name,
    "output_gradients",
    shape,
    backpropAxis ? [null, ...expected] : expected,
    backpropAxis ? `k backprops, ${meaning}` : meaning,
  );
}

function untold(layer: string, size: string): CurvdError {
  return new CurvdError("invalid-request", `Layer "${layer}": nothing tells its ${size}`, {
    layer,
    suggestion: `state ${size}, or send a tensor that has it`,
  });
}
