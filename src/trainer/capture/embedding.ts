/**
 * Embeddings: `s = W[a]`, `W [vocabulary, d_out]`, a token ids.
 *
 * @module
 */
import { cast, type layers, type Tensor } from "@tensorflow/tfjs";
import { type LayerVariable, trained } from "./tfjs_layer.ts";
import { alongSharedAxis, type Tell, WatchableBlock } from "./watchable.ts";

export class EmbeddingBlock extends WatchableBlock {
  readonly description;
  readonly sizes;

  constructor(name: string, layer: layers.Layer) {
    // a field that TensorFlow.js's types call private
    const { embeddings } = layer as unknown as { embeddings: LayerVariable };
    const [vocabulary, dOut] = embeddings.read().shape;
    super(name, { layer, kernel: trained(layer, embeddings), bias: null }, [vocabulary, dOut]);
    this.description = { kind: "embedding", vocabulary } as const;
    this.sizes = { d_out: dOut };
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
