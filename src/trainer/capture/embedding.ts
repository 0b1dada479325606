/**
 * Embeddings: `s = W[a]`, `W [vocabulary, d_out]`, a token ids.
 *
 * @module
 */
import { cast, type layers, type Tensor, type Variable } from "@tensorflow/tfjs";
import { type LayerVariable, trained } from "./tfjs_layer.ts";
import { alongSharedAxis, type Tell, WatchableBlock } from "./watchable.ts";

export class EmbeddingBlock extends WatchableBlock {
  readonly description;
  readonly sizes;

  private constructor(name: string, layer: layers.Layer, table: Variable) {
    const [vocabulary, dOut] = table.shape;
    super(name, layer, table, null, [vocabulary, dOut]);
    this.description = { kind: "embedding", vocabulary } as const;
    this.sizes = { d_out: dOut };
  }

  static of(name: string, layer: layers.Layer): EmbeddingBlock | null {
    // a field that TensorFlow.js's types call private
    const { embeddings } = layer as unknown as { embeddings: LayerVariable };
    const table = trained(layer, embeddings);
    return table && new EmbeddingBlock(name, layer, table);
  }

  apply(inputs: Tensor, call: (inputs: Tensor) => Tensor, tell: Tell): Tensor {
    const rows = call(inputs);
    tell(cast(inputs, "int32"), rows);
    return rows;
  }

  joinInputs(uses: readonly Tensor[]): Tensor {
    return alongSharedAxis(uses, 0);
  }

  joinGradients(uses: readonly Tensor[]): Tensor {
    return alongSharedAxis(uses, 1);
  }
}
