/**
 * What a session knows: immutable, so that a step that fails leaves nothing behind.
 *
 * Tensors are by name; a transition makes a new state that shares what it did not change, and whoever installs it
 * disposes what the old one alone had ({@linkcode tensorsOf}).
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import type { NamedTensors } from "@/curvature/mod.ts";
import type { SessionLayer } from "@/wire/mod.ts";
import type { Settings } from "./configuration.ts";
import type { FactorDiagnostics } from "./findings.ts";

/** How a batch was taken, beside its tensors. */
export interface BatchWords {
  readonly fisher: "empirical" | "sampled" | "exact";
  readonly backprops: number;
  readonly hasBackpropAxis: boolean;
  readonly gradientScale: number;
  readonly maskedPlaces: number | null;
  readonly examples: number;
}

/** τ of api.md's Numbers, by factor, of averages whose batches came as factors. */
export type Tolerances = Readonly<Record<string, readonly number[]>>;

export interface LayerState {
  /** k: batches in the averages. */
  readonly batches: number;
  /** Of these, those that its preconditioner has. */
  readonly batchesAtRefresh: number;
  /** As the session describes it, with the sizes learned from what came. */
  readonly description: SessionLayer;
  /** Running averages; none before the first batch. */
  readonly averages: NamedTensors;
  readonly tolerances: Tolerances;
  /** What the last batch came as: S of EKFAC needs samples. */
  readonly source: "samples" | "factors" | null;
  /** The preconditioner; none before the first refresh. */
  readonly forms: NamedTensors;
  /** The raw batch of two-level K-FAC: the last one, and the one its preconditioner has. */
  readonly raw: { readonly batch: NamedTensors; readonly words: BatchWords } | null;
  readonly rawOfForms: { readonly batch: NamedTensors; readonly words: BatchWords } | null;
  /** Averages at the last refresh that nothing else tells the drift of, where it is bounded. */
  readonly reference: NamedTensors;
  /** δ₀ of the quadratic model, as `{ update }`. */
  readonly previous: NamedTensors;
  /** Of the last refresh, by factor. */
  readonly diagnostics: Readonly<Record<string, FactorDiagnostics>>;
}

export interface SessionState {
  readonly settings: Settings;
  /** λ now. */
  readonly damping: number;
  /** Preconditioners so far. */
  readonly version: number;
  /** Answered changes so far. */
  readonly revision: number;
  readonly steps: number;
  /** Observations since the preconditioner's statistics. */
  readonly age: number;
  /** Whether a refresh is due whatever the counters say: a new λ that the forms cannot take as they are. */
  readonly isStale: boolean;
  readonly layers: ReadonlyMap<string, LayerState>;
  /** The preconditioner before the current one, for answers given again. */
  readonly retained:
    | { readonly version: number; readonly forms: ReadonlyMap<string, NamedTensors> }
    | null;
}

export const NO_TENSORS: NamedTensors = {};

/** A layer nothing is known of. */
export function newLayer(description: SessionLayer): LayerState {
  return {
    batches: 0,
    batchesAtRefresh: 0,
    description,
    averages: NO_TENSORS,
    tolerances: {},
    source: null,
    forms: NO_TENSORS,
    raw: null,
    rawOfForms: null,
    reference: NO_TENSORS,
    previous: NO_TENSORS,
    diagnostics: {},
  };
}

export function newState(
  layers: Readonly<Record<string, SessionLayer>>,
  settings: Settings,
  damping: number,
): SessionState {
  return {
    settings,
    damping,
    version: 0,
    revision: 0,
    steps: 0,
    age: 0,
    isStale: false,
    layers: new Map(Object.entries(layers).map(([name, layer]) => [name, newLayer(layer)])),
    retained: null,
  };
}

/** The state with some layers replaced. */
export function withLayers(
  state: SessionState,
  changed: Iterable<readonly [string, LayerState]>,
): SessionState {
  return { ...state, layers: new Map([...state.layers, ...changed]) };
}

/** Every tensor of a state, by the groups that a checkpoint has. */
export function tensorGroups(layer: LayerState): Readonly<Record<string, NamedTensors>> {
  const { averages, forms, raw, rawOfForms, reference, previous } = layer;
  return {
    average: averages,
    preconditioner: forms,
    batch: raw?.batch ?? NO_TENSORS,
    preconditioner_batch: rawOfForms?.batch ?? NO_TENSORS,
    reference,
    previous,
  };
}

/** Every tensor of a state, each once. */
export function tensorsOf({ layers, retained }: SessionState): Set<Tensor> {
  const groups = [
    ...[...layers.values()].flatMap((layer) => Object.values(tensorGroups(layer))),
    ...(retained?.forms.values() ?? []),
  ];
  return new Set(groups.flatMap((group) => Object.values(group)));
}

/** Bytes of a state's tensors; values that several of them share count once. */
export function bytesOf(state: SessionState): number {
  const sizes = new Map([...tensorsOf(state)].map(({ dataId, size }) => [dataId, 4 * size]));
  return [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
}
