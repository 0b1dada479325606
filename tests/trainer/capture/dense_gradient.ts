/**
 * Gradients made of captured statistics, `Σ g aᵀ` by its definition, in float64 on the host.
 *
 * @module
 */
import type { BlockDescription, LayerBlock, LayerStatistics } from "@/trainer/capture/mod.ts";

type Convolution = Extract<BlockDescription, { kind: "conv2d" }>;

/** One row of a layer's statistics: an example, or an example's use. */
interface Row {
  readonly a: ArrayLike<number>;
  readonly g: ArrayLike<number>;
  /** `[h, w, c]` of a convolution's. */
  readonly aShape: readonly number[];
  readonly gShape: readonly number[];
}

/** Gradients of a layer's kernel and bias, row-major in the shapes of the wire; no bias is empty. */
export interface LayerGradient {
  readonly kernel: number[];
  readonly bias: number[];
}

/**
 * `g aᵀ` of every row, summed over its places but not over rows.
 *
 * @param backprop which of several.
 */
export function rowGradients(
  block: LayerBlock,
  { inputs, outputGradients }: LayerStatistics,
  backprop = 0,
): LayerGradient[] {
  const [rows, ...aShape] = inputs.shape;
  const gShape = outputGradients.shape.slice(-gRank(block, inputs));
  const a = inputs.dataSync(), g = outputGradients.dataSync();
  const aSize = inputs.size / rows, gSize = gShape.reduce((x, y) => x * y) / rows;
  return Array.from({ length: rows }, (_, row) => {
    const from = (backprop * rows + row) * gSize;
    return gradientOf(block, {
      a: a.slice(row * aSize, (row + 1) * aSize),
      g: g.slice(from, from + gSize),
      aShape,
      gShape: gShape.slice(1),
    });
  });
}

/** Axes of output gradients, of one backprop. */
function gRank({ description }: LayerBlock, inputs: LayerStatistics["inputs"]): number {
  return inputs.rank + Number(description.kind === "embedding");
}

function gradientOf({ description, kernel, bias }: LayerBlock, row: Row): LayerGradient {
  const { a, g } = row;
  const d = row.gShape.at(-1)!;
  const ofBias = new Array(bias ? d : 0).fill(0);
  for (let at = 0; bias && at < g.length; at++) ofBias[at % d] += g[at];

  const ofKernel = new Array(kernel.size).fill(0);
  for (let at = 0; at < g.length; at++) {
    const [place, o] = [Math.floor(at / d), at % d];
    switch (description.kind) {
      case "dense": {
        const dIn = row.aShape.at(-1)!;
        for (let i = 0; i < dIn; i++) ofKernel[i * d + o] += a[place * dIn + i] * g[at];
        break;
      }
      case "embedding":
        ofKernel[a[place] * d + o] += g[at];
        break;
      case "scale_and_shift":
        ofKernel[o] += a[at] * g[at];
        break;
      case "conv2d":
        for (const [tap, value] of taps(description, row, place, o)) ofKernel[tap] += value * g[at];
    }
  }
  return { kernel: ofKernel, bias: ofBias };
}

/** The kernel's cells `[kh, kw, c/groups, filters]` that filter o uses at a place, with the pixels under them. */
function* taps(
  { kernel_size: kernel, strides, dilations, padding, groups }: Convolution,
  { a, aShape: [h, w, c], gShape: [ho, wo, filters] }: Row,
  place: number,
  o: number,
): Generator<[number, number]> {
  const channels = c / groups, group = Math.floor(o / (filters / groups));
  const before = [[h, ho], [w, wo]].map(([side, out], axis) => {
    const reach = (out - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1;
    return padding === "same" ? Math.floor(Math.max(reach - side, 0) / 2) : 0;
  });
  const corner = [Math.floor(place / wo), place % wo].map((at, axis) =>
    at * strides[axis] - before[axis]
  );
  for (let u = 0; u < kernel[0]; u++) {
    for (let v = 0; v < kernel[1]; v++) {
      const [y, x] = [corner[0] + u * dilations[0], corner[1] + v * dilations[1]];
      if (y < 0 || y >= h || x < 0 || x >= w) continue;
      for (let i = 0; i < channels; i++) {
        const cell = ((u * kernel[1] + v) * channels + i) * filters + o;
        yield [cell, a[(y * w + x) * c + group * channels + i]];
      }
    }
  }
}
