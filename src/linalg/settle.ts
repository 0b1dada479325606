/**
 * Runs a piece of work, reads everything it answers in one go, and redoes what missed its bound.
 *
 * No result leaves unjudged: each linear-algebra operation of the work put a status tensor beside its
 * result, and these come back with the answer in the same read. Where one is over its bound, the
 * whole work runs again with that one problem solved in float64 on the host. Work must therefore
 * be a pure function of its inputs. Pieces of work that are settled at the same time share batches and read (sittings.ts).
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import type { LinearAlgebra } from "./linear_algebra.ts";
import { Sittings } from "./sittings.ts";

/** What a piece of work leaves behind. */
export interface Outcome<K> {
  /** Read back, then disposed. */
  readonly read: readonly Tensor[];
  /** Handed to the caller as it is: tensors that stay on the device, reports, anything. */
  readonly keep: K;
}

export interface Settled<K> {
  /** The values of `read`, in order. */
  readonly arrays: Float32Array<ArrayBuffer>[];
  readonly keep: K;
  /**
   * Milliseconds spent waiting for others' work, recording and computing, and waiting for the read; the last two are those
   * of the whole sitting.
   */
  readonly timing: { waitMs: number; computeMs: number; readMs: number };
}

export interface SettleOptions {
  /** Compute residuals exactly (n³) instead of estimating them (n²). */
  readonly verifyFully?: boolean;
  /** Whether no tensor that the work makes outlives it: memory of what is read may then be handed on uncopied. */
  readonly keepsNothing?: boolean;
  /**
   * Whether the work makes no matrix products, and leaves all that is more than n² to its linear algebra. A cpu engine then has it
   * beside other such work, each going on as soon as it can. Nothing else may be under way.
   */
  readonly isBeside?: boolean;
  /** Aborted: what the work has not asked yet is refused, and with it the work. */
  readonly signal?: AbortSignal;
}

/** One an engine. */
const sittings = new WeakMap<Engine, Sittings>();

/**
 * Runs `work` to a judged result.
 *
 * @param work pure; may run again, once after each set of its problems that missed their bounds. Tensors it made are either in
 *   its outcome or disposed by it.
 * @throws CurvdError `not-positive-definite` or `not-converged` for a problem that float64 cannot solve either; `aborted`;
 *   `internal` where a device goes on missing its bounds.
 */
export function settle<K>(
  engine: Engine,
  work: (linalg: LinearAlgebra) => Promise<Outcome<K>>,
  options?: SettleOptions,
): Promise<Settled<K>> {
  let at = sittings.get(engine);
  if (!at) sittings.set(engine, at = new Sittings(engine));
  return at.settle(work, options);
}
