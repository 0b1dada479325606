/**
 * Tensor scopes of works that overlap.
 *
 * TensorFlow.js keeps its scopes on one stack: of two works that wait for the device at the same time, the first to end would
 * take the other's tensors with it. So works that may overlap share a scope, opened by the first and closed by the last; what
 * should outlive it is kept (`keep()`) by its work.
 *
 * @module
 */
import { engine as tfEngine } from "@tensorflow/tfjs-core";

let open = 0;

/** Runs work; the tensors that it made and did not keep are gone when no work is in the scope any more. */
export async function inSharedScope<T>(work: () => Promise<T>): Promise<T> {
  if (open++ === 0) tfEngine().startScope();
  try {
    return await work();
  } finally {
    if (--open === 0) tfEngine().endScope();
  }
}
