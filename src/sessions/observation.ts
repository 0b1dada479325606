/**
 * A batch of a layer as a session takes it, and what its functions work with.
 *
 * @module
 */
import {
  type Layer,
  mapNamed,
  type MethodName,
  type MethodOptions,
  type NamedTensors,
  nestedState,
  type PairProducts,
} from "@/curvature/mod.ts";
import type { LinearAlgebra } from "@/linalg/mod.ts";
import type { Outcome } from "./outcome.ts";
import type { BatchWords, LayerState, Tolerances } from "./state.ts";

/** A batch of one layer, on the device. */
export interface Observation {
  readonly layer: Layer;
  readonly batch:
    | {
      readonly kind: "samples";
      readonly samples: PairProducts;
      /** Of its examples: the samples, where these are not reduced. */
      readonly gradients: () => PairProducts;
      /** The tensors that the samples are of, by wire name. */
      readonly raw: NamedTensors;
      readonly words: BatchWords;
    }
    | { readonly kind: "factors"; readonly factors: NamedTensors; readonly tolerances: Tolerances }
    /** Of a batch that is gone: what the log kept of it. */
    | { readonly kind: "outcome"; readonly outcome: Outcome };
}

/** What a transition works with. */
export interface Work {
  readonly method: MethodName;
  readonly options: MethodOptions;
  readonly decay: number;
  readonly scalings: "per_example" | "batch_gradient";
  readonly linalg: LinearAlgebra;
}

export type Layers = ReadonlyMap<string, LayerState>;
export type Observations = ReadonlyMap<string, Observation>;
export type Changed = Map<string, LayerState>;

/** What was left of a batch that is gone, where an observation is that. */
export function outcomeIn(observation: Observation | undefined): Outcome | null {
  return observation?.batch.kind === "outcome" ? observation.batch.outcome : null;
}

/** The same values as tensors of one's own; nothing is copied on the device. */
export function copied(tensors: NamedTensors): NamedTensors {
  return mapNamed(tensors, (tensor) => tensor.clone());
}

/** The state that a method makes of its averages by name. */
export function revived(
  averages: NamedTensors,
  layer: Layer,
  revive: ((tensors: NamedTensors, layer: Layer, options: MethodOptions) => unknown) | undefined,
  options: MethodOptions,
): unknown {
  return revive ? revive(averages, layer, options) : nestedState(averages);
}
