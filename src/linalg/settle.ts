/**
 * Runs a piece of work, reads everything it answers in one go, and redoes what missed its bound.
 *
 * No result leaves unjudged: each linear-algebra operation of the work put a status tensor beside its
 * result, and these come back with the answer in the same read. Where one is over its bound, the
 * whole work runs again with that one problem solved in float64 on the host. Work must therefore
 * be a pure function of its inputs.
 *
 * @module
 */
import { dispose, type Tensor, type TensorContainer } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { type JudgedLinearAlgebra, linearAlgebraOf } from "./select.ts";
import type { LinearAlgebra } from "./linear_algebra.ts";

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
  /** Milliseconds spent recording and computing, and waiting for the read. */
  readonly timing: { computeMs: number; readMs: number };
}

export interface SettleOptions {
  /** Compute residuals exactly (n³) instead of estimating them (n²). */
  readonly verifyFully?: boolean;
}

/**
 * Runs `work` to a judged result.
 *
 * @param work pure; may run again (at most once for each problem in it). Tensors it made are either
 *   in its outcome or disposed by it.
 * @throws CurvdError `not-positive-definite` or `not-converged` for a problem that float64 cannot solve either.
 */
export async function settle<K>(
  engine: Engine,
  work: (linalg: LinearAlgebra) => Promise<Outcome<K>>,
  { verifyFully = false }: SettleOptions = {},
): Promise<Settled<K>> {
  const rescued = new Set<string>();
  for (;;) {
    const started = performance.now();
    const linalg: JudgedLinearAlgebra = linearAlgebraOf(engine, {
      rescued,
      verifyFully,
    });
    const { read, keep } = await work(linalg).catch((error) => {
      dispose(linalg.statuses());
      throw error;
    });
    const recorded = performance.now();
    try {
      const arrays = await engine.read([...read, ...linalg.statuses()]);
      const failed = linalg.judge(arrays.splice(read.length));
      if (failed.length === 0) {
        const timing = {
          computeMs: recorded - started,
          readMs: performance.now() - recorded,
        };
        return { arrays, keep, timing };
      }
      for (const key of failed) rescued.add(key);
    } catch (error) {
      dispose(keep as TensorContainer);
      throw error;
    } finally {
      dispose([...read, ...linalg.statuses()]);
    }
    dispose(keep as TensorContainer);
  }
}
