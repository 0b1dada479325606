/**
 * Exponentially weighted running averages.
 *
 *   S_k = ρ_k S_{k−1} + (1 − ρ_k) S_batch,   ρ_k = min(1 − 1/k, decay),   k = 1, 2, …
 *
 * ρ₁ = 0, so the first batch has weight one: nothing is initialized and nothing needs a bias correction. Until
 * `1 − 1/k` reaches `decay` the average is the plain mean.
 *
 * Source: Martens & Grosse 2015, arXiv:1503.05671, section 5.
 *
 * @module
 */
import { add, mul, type Tensor, tidy } from "@tensorflow/tfjs-core";
import type { NamedTensors } from "./named_tensors.ts";

/** ρ of the k-th batch. */
export function runningDecay(k: number, decay: number): number {
  return Math.min(1 - 1 / k, decay);
}

/** `ρ·old + (1 − ρ)·batch`; the caller disposes it. */
export function average<T extends Tensor>(old: T, batch: T, rho: number): T {
  return tidy(() => rho === 0 ? batch.clone() as T : add<T>(mul(old, rho), mul(batch, 1 - rho)));
}

/** The average of every tensor of a state; the caller disposes them. */
export function averageNamed(old: NamedTensors, batch: NamedTensors, rho: number): NamedTensors {
  return Object.fromEntries(
    Object.entries(batch).map(([name, tensor]) => [
      name,
      rho === 0 ? tensor.clone() : average(old[name], tensor, rho),
    ]),
  );
}
