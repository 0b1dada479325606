/**
 * The errors of a result computed in full and in float64: n³, on request.
 *
 * @module
 */
import type { Float64 } from "@/engine/host.ts";
import { type Dense, plusIdentity } from "./probes.ts";

/** `‖XᵖM' − I‖_F/√d`, `M' = M + shift·I`. */
export function exactInverseResidual(
  float64: Float64,
  { matrix, shift, d }: { matrix: Dense; shift: number; d: number },
  inverse: Dense,
  root = 1,
): number {
  const x = Float64Array.from(inverse);
  let product = plusIdentity(matrix, shift, d);
  for (let i = 0; i < root; i++) product = float64.matMul(x, product, { m: d, k: d, n: d });
  return distanceToIdentity(product, d);
}

/** `‖W M' Wᵀ − I‖_F/√d`. */
export function exactWhitenerResidual(
  float64: Float64,
  { matrix, shift, d }: { matrix: Dense; shift: number; d: number },
  whitener: Dense,
): number {
  const w = Float64Array.from(whitener);
  const size = { m: d, k: d, n: d };
  const half = float64.matMul(w, plusIdentity(matrix, shift, d), size);
  return distanceToIdentity(float64.matMul(half, w, { ...size, transposeB: true }), d);
}

/** `‖MQ − QΛ‖_F/‖M‖_F` and `‖QᵀQ − I‖_F/√d`. */
export function exactEigh(
  float64: Float64,
  { matrix, norm, d, vectors, values }: {
    matrix: Dense;
    norm: number;
    d: number;
    vectors: Dense;
    values: Dense;
  },
): { residual: number; orthogonality: number } {
  const q = Float64Array.from(vectors);
  const size = { m: d, k: d, n: d };
  const mq = float64.matMul(Float64Array.from(matrix), q, size);
  let squares = 0;
  for (let at = 0; at < mq.length; at++) squares += (mq[at] - q[at] * values[at % d]) ** 2;
  return {
    residual: norm > 0 ? Math.sqrt(squares) / norm : Math.sqrt(squares),
    orthogonality: distanceToIdentity(float64.matMul(q, q, { ...size, transposeA: true }), d),
  };
}

function distanceToIdentity(x: Float64Array, d: number): number {
  let squares = 0;
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < d; j++) squares += (x[i * d + j] - Number(i === j)) ** 2;
  }
  return Math.sqrt(squares / d);
}
