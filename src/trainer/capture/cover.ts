/**
 * Which layers of a model have a block of curvature, and which are left with the plain gradient.
 *
 * @module
 */
import { type layers, LayersModel, type Variable } from "@tensorflow/tfjs";
import type { UncoveredLayer } from "./block.ts";
import { Conv2dBlock } from "./conv2d.ts";
import { DenseBlock } from "./dense.ts";
import { EmbeddingBlock } from "./embedding.ts";
import { NormalizationBlock } from "./normalization.ts";
import type { WatchableBlock } from "./watchable.ts";

/** The block of a layer, or null for one that has none; by TensorFlow.js's name of the layer's kind. */
const BLOCK_OF: Readonly<
  Record<string, (name: string, layer: layers.Layer) => WatchableBlock | null>
> = {
  Dense: DenseBlock.of,
  Conv2D: Conv2dBlock.of,
  DepthwiseConv2D: Conv2dBlock.of,
  Embedding: EmbeddingBlock.of,
  BatchNormalization: NormalizationBlock.of,
  LayerNormalization: NormalizationBlock.of,
};

export interface Cover {
  /** In the model's order. */
  readonly blocks: readonly WatchableBlock[];
  readonly uncovered: readonly UncoveredLayer[];
}

/**
 * Sorts a model's trainable layers, those of nested models too; frozen ones are in neither list.
 *
 * @param exclude names of layers to leave uncovered.
 * @throws RangeError for a name in `exclude` that is no trainable layer's.
 */
export function coverModel(model: LayersModel, exclude: readonly string[]): Cover {
  const blocks: WatchableBlock[] = [];
  const uncovered: UncoveredLayer[] = [];
  const named = new Set<string>();
  for (const [name, layer] of trainableLayers(model)) {
    named.add(name);
    const className = layer.getClassName();
    const block = exclude.includes(name) ? null : BLOCK_OF[className]?.(name, layer);
    if (block) blocks.push(block);
    else {
      const variables = layer.trainableWeights.map((weight) => weight.read() as Variable);
      uncovered.push({ name, className, variables });
    }
  }
  const unknown = exclude.find((name) => !named.has(name));
  if (unknown !== undefined) {
    throw new RangeError(
      `Cannot exclude layer "${unknown}" as it must be a trainable layer: they are ` +
        [...named].map((name) => `"${name}"`).join(", "),
    );
  }
  return { blocks, uncovered };
}

/** A layer once, under its first name, however often it is used. */
function* trainableLayers(
  model: LayersModel,
  prefix = "",
  seen = new Set<layers.Layer>(),
): Generator<[string, layers.Layer]> {
  for (const layer of model.layers) {
    const name = prefix + layer.name;
    if (seen.has(layer) || layer.trainableWeights.length === 0) continue;
    seen.add(layer);
    if (layer instanceof LayersModel) yield* trainableLayers(layer, `${name}/`, seen);
    else yield [name, layer];
  }
}
