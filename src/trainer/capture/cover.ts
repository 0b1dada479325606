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

const BLOCKS: Readonly<
  Record<string, new (name: string, layer: layers.Layer) => WatchableBlock>
> = {
  Dense: DenseBlock,
  Conv2D: Conv2dBlock,
  DepthwiseConv2D: Conv2dBlock,
  Embedding: EmbeddingBlock,
  BatchNormalization: NormalizationBlock,
  LayerNormalization: NormalizationBlock,
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
 * @throws RangeError for a model that is not built, or a name in `exclude` that is no trainable layer's.
 */
export function coverModel(model: LayersModel, exclude: readonly string[]): Cover {
  const blocks: WatchableBlock[] = [];
  const uncovered: UncoveredLayer[] = [];
  const named = new Set<string>();
  for (const [name, layer] of trainableLayers(model)) {
    named.add(name);
    const block = exclude.includes(name) ? null : blockOf(name, layer);
    if (block) blocks.push(block);
    else {
      const variables = layer.trainableWeights.map((weight) => weight.read() as Variable);
      uncovered.push({ name, className: layer.getClassName(), variables });
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

/** The block of a layer; null where its kind has none, or where no variable of it is the block's to train. */
function blockOf(name: string, layer: layers.Layer): WatchableBlock | null {
  const Block = BLOCKS[layer.getClassName()];
  if (!Block || normalisesExamples(layer)) return null;
  const block = new Block(name, layer);
  // a bias trained under a frozen kernel is no block: its curvature is G alone
  const isTrained = block.kernel !== null || block instanceof NormalizationBlock;
  return isTrained ? block : null;
}

/** A layer once, under its first name, however often it is used. */
function* trainableLayers(
  model: LayersModel,
  prefix = "",
  seen = new Set<layers.Layer>(),
): Generator<[string, layers.Layer]> {
  for (const layer of model.layers) {
    const name = prefix + layer.name;
    if (!layer.built) {
      throw new RangeError(
        `Cannot capture layer "${name}" as it must be built: give the first layer an inputShape`,
      );
    }
    if (seen.has(layer) || layer.trainableWeights.length === 0) continue;
    seen.add(layer);
    if (layer instanceof LayersModel) yield* trainableLayers(layer, `${name}/`, seen);
    else yield [name, layer];
  }
}

/** Whether γ and β are of examples, not of features. */
function normalisesExamples(layer: layers.Layer): boolean {
  const { axis } = layer as unknown as { axis?: number | number[] };
  return axis !== undefined && [axis].flat().includes(0);
}
