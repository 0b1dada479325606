/**
 * Layers under observation, for one pass.
 *
 * A layer's `call` is replaced, on that one object, by its block's own computation, which tells what
 * curvature is made of; nothing is computed twice, and the tape does the rest.
 *
 * @module
 */
import { keep, type layers, type Tensor, tidy } from "@tensorflow/tfjs";
import type { WatchableBlock } from "./watchable.ts";

/** One use of a layer in a pass. */
export interface Use {
  /** a, kept by the watch. */
  readonly inputs: Tensor;
  /** s as the tape knows it; its values may be gone. */
  readonly preActivations: Tensor;
}

type Call = layers.Layer["call"];

/** One block's layer under observation, from its making to {@linkcode BlockWatch.end}. */
export class BlockWatch {
  readonly uses: Use[] = [];
  readonly #restore: () => void;

  constructor(readonly block: WatchableBlock) {
    this.#restore = replaceCall(block.layer, (call) => (inputs, kwargs) =>
      block.apply(
        [inputs].flat()[0],
        (x) => call(x, kwargs) as Tensor,
        (a, s) => this.uses.push({ inputs: keep(a.clone()), preActivations: s }),
      ));
  }

  /** Gives the layer back its own call and disposes what was kept. */
  end(): void {
    this.#restore();
    for (const { inputs } of this.uses) inputs.dispose();
  }
}

/**
 * Has a layer compute by another function; within a tidy, as TensorFlow.js's own calls do.
 *
 * @param replace from the call it has now.
 * @returns what undoes it.
 */
export function replaceCall(layer: layers.Layer, replace: (call: Call) => Call): () => void {
  const own = Object.getOwnPropertyDescriptor(layer, "call");
  const call = replace(layer.call.bind(layer));
  layer.call = (inputs, kwargs) => tidy(() => call(inputs, kwargs));
  return () => {
    if (own) Object.defineProperty(layer, "call", own);
    else delete (layer as { call?: Call }).call;
  };
}
