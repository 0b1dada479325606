/**
 * What a batch leaves of a layer: its running averages, and S of EKFAC. Where that is less than the batch, it is what the log
 * keeps.
 *
 * S means something in its own basis alone. A basis computed again on another machine may differ wherever eigenvalues meet,
 * so the first outcome after a refresh brings the basis with it.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import type { NamedTensors } from "@/curvature/mod.ts";
import { packedLength } from "@/wire/mod.ts";
import type { Identity } from "./configuration.ts";
import type { LayerState } from "./state.ts";

/** Tensors that take the place of a layer's own. */
export interface Outcome {
  readonly averages: NamedTensors;
  /** S, with Q_A and Q_G where they are to be taken too; empty where a layer has no S. */
  readonly forms: NamedTensors;
}

/** Symmetric to the bit, as they are Gram matrices and what elementwise operations make of them. */
const SYMMETRIC = new Set(["A", "G"]);

/** Whether a tensor of a layer may be kept as its upper triangle. */
export function isPackable(name: string, { shape }: { shape: readonly number[] }): boolean {
  return SYMMETRIC.has(name) && shape.length >= 2 && shape.at(-1) === shape.at(-2);
}

/** The outcome of a layer's last batch. @param withBasis whether its basis goes with S. */
export function outcomeOf({ averages, forms }: LayerState, withBasis: boolean): Outcome {
  const { S, Q_A, Q_G } = forms;
  return { averages, forms: S ? (withBasis ? { S, Q_A, Q_G } : { S }) : {} };
}

/**
 * Bytes that the outcome of a layer's next batch will have, its basis not counted: that is kept once a refresh. Infinite where
 * there is none to tell it by, or more goes on from batch to batch than averages and S.
 */
export function outcomeBytes({ method }: Identity, layer: LayerState): number {
  const isWhole = method !== "kfac_two_level" && method !== "shampoo" && method !== "soap";
  if (!isWhole || layer.batches === 0) return Infinity;
  const { averages, forms } = outcomeOf(layer, false);
  const tensors = [...Object.entries(averages), ...Object.entries(forms)];
  return tensors.reduce((sum, [name, tensor]) => sum + 4 * keptSize(name, tensor), 0);
}

function keptSize(name: string, tensor: Tensor): number {
  if (!isPackable(name, tensor)) return tensor.size;
  const d = tensor.shape.at(-1)!;
  return tensor.size / (d * d) * packedLength(d);
}
