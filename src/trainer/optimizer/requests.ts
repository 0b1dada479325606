/**
 * Captured tensors as the layers of a session's requests.
 *
 * @module
 */
import { reshape, slice, type Tensor, tidy } from "@tensorflow/tfjs";
import type { WireTensor } from "@/wire/documents.ts";
import {
  type BlockGradient,
  disposeStatistics,
  type LayerBlock,
  type Statistics,
} from "../capture/mod.ts";
import { toWire } from "../wire_tensors.ts";

/** The fields of a layer in a request. */
export interface RequestLayer {
  kind: LayerBlock["description"]["kind"];
  inputs?: WireTensor;
  output_gradients?: WireTensor;
  gradient_scale?: number;
  gradient?: WireTensor;
  bias_gradient?: WireTensor;
}

export interface BatchWords {
  readonly fisher?: Statistics["fisher"];
  readonly backprops?: number;
}

/**
 * Reads statistics and gradients off their backend, all at once.
 *
 * @param statistics taken over; null for none.
 * @param gradients by block name; stay the caller's.
 */
export async function readLayers(
  blocks: readonly LayerBlock[],
  statistics: Statistics | null,
  gradients: ReadonlyMap<string, BlockGradient>,
): Promise<{ layers: Record<string, RequestLayer>; words: BatchWords }> {
  try {
    const layers = await Promise.all(
      blocks.filter(({ name }) => gradients.has(name) || statistics?.layers.has(name))
        .map(async ({ name, description: { kind } }) => {
          const [ofBatch, ofGradient] = await Promise.all([
            readStatistics(statistics, name),
            readGradient(gradients.get(name)),
          ]);
          return [name, { kind, ...ofBatch, ...ofGradient }] as const;
        }),
    );
    return { layers: Object.fromEntries(layers), words: wordsOf(statistics) };
  } finally {
    if (statistics) disposeStatistics(statistics);
  }
}

async function readStatistics(statistics: Statistics | null, name: string) {
  const batch = statistics?.layers.get(name);
  if (!batch) return {};
  const [inputs, output_gradients] = await Promise.all([
    toWire(batch.inputs),
    toWire(batch.outputGradients),
  ]);
  return { inputs, output_gradients, gradient_scale: batch.gradientScale };
}

async function readGradient(of: BlockGradient | undefined) {
  if (!of) return {};
  const [gradient, bias_gradient] = await Promise.all([
    toWire(of.gradient),
    of.bias_gradient ? toWire(of.bias_gradient) : undefined,
  ]);
  return { gradient, ...(bias_gradient ? { bias_gradient } : {}) };
}

function wordsOf(statistics: Statistics | null): BatchWords {
  if (!statistics) return {};
  const { fisher, backprops } = statistics;
  return { fisher, ...(backprops > 1 ? { backprops } : {}) };
}

/**
 * The statistics of a batch's first examples; those of the whole batch are disposed.
 *
 * @param examples of the batch. A layer used several times holds its uses one after another on the batch axis.
 */
export function firstExamples(statistics: Statistics, examples: number, most: number): Statistics {
  if (most >= examples) return statistics;
  const layers = tidy(() =>
    [...statistics.layers].map(([name, { inputs, outputGradients, gradientScale }]) => {
      const hasPasses = statistics.backprops > 1;
      return {
        name,
        inputs: first(inputs, 0, examples, most),
        outputGradients: first(outputGradients, hasPasses ? 1 : 0, examples, most),
        gradientScale,
      };
    })
  );
  disposeStatistics(statistics);
  return {
    ...statistics,
    layers: new Map(layers.map(({ name, ...layer }) => [name, layer])),
  };
}

/** The first `most` of every `examples` entries along an axis. */
function first(tensor: Tensor, axis: number, examples: number, most: number): Tensor {
  const { shape } = tensor;
  const uses = shape[axis] / examples;
  const [before, after] = [shape.slice(0, axis), shape.slice(axis + 1)];
  const byUse = reshape(tensor, [...before, uses, examples, ...after]);
  const begin = byUse.shape.map(() => 0);
  const size = byUse.shape.map((side, at) => at === axis + 1 ? most : side);
  return reshape(slice(byUse, begin, size), [...before, uses * most, ...after]);
}
