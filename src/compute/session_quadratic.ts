/**
 * The quadratic model's step of a session, with the last step δ₀ that the session keeps.
 *
 * Source: Martens & Grosse 2015, arXiv:1503.05671, sections 6.4 and 7.
 *
 * @module
 */
import {
  add,
  mul,
  neg,
  reshape,
  stack,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor3D,
} from "@tensorflow/tfjs-core";
import { type PairProducts, quadraticStep, weightedProduct } from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import { type Gradient, type Observation, type SessionState, withLayers } from "@/sessions/mod.ts";
import type { Document } from "@/wire/mod.ts";

/** The step sizes that the quadratic model of the batch likes best, and δ = αΔ + μδ₀, kept as the next δ₀. */
export function quadraticOf(
  state: SessionState,
  gradients: ReadonlyMap<string, Gradient>,
  updates: ReadonlyMap<string, Tensor3D>,
  observations: ReadonlyMap<string, Observation>,
  { l2 = 0 }: { readonly l2?: number },
): {
  read: Record<string, Tensor>;
  finish: (
    arrays: Readonly<Record<string, Float32Array>>,
  ) => { fields: Document; state: SessionState };
} {
  const names = [...state.layers.keys()];
  const samples = names.map((name): PairProducts => {
    const batch = observations.get(name)?.batch;
    if (batch?.kind === "samples" && updates.has(name)) return batch.gradients();
    throw new CurvdError(
      "invalid-request",
      `Layer "${name}": step_size needs inputs and output_gradients of every layer`,
      { layer: name },
    );
  });
  const D = names.map((name) => neg(updates.get(name)!) as Tensor3D);
  const V = names.map((name) => gradients.get(name)!.V);
  const last = names.map((name) => state.layers.get(name)!.previous.update as Tensor3D | undefined);
  const previous = last.every((x) => x !== undefined) ? last as Tensor3D[] : null;
  const dot = (x: Tensor3D[], y: Tensor3D[]) =>
    sum(total(x.map((each, l) => sum(mul(each, y[l])))));
  const perPair = (x: Tensor3D[]): Tensor1D =>
    samples.map((of, l): Tensor1D => sum(of.inner(x[l]), 0)).reduce((a, b) => add(a, b));
  const read: Record<string, Tensor> = {
    "model scalars": stack([
      dot(V, D),
      dot(D, D),
      ...(previous ? [dot(V, previous), dot(previous, previous), dot(D, previous)] : []),
    ]),
    "model directions": perPair(D),
    ...(previous ? { "model previous": perPair(previous) } : {}),
  };
  const [{ weight }] = samples;
  return {
    read,
    finish: (arrays) => {
      const s = arrays["model scalars"];
      const q = arrays["model directions"], q0 = arrays["model previous"];
      const { alpha, mu, predictedChange } = quadraticStep({
        gradientDirection: s[0],
        directionSquared: s[1],
        curvature: weightedProduct(q, q, weight),
        previous: q0 === undefined ? null : {
          gradient: s[2],
          squared: s[3],
          direction: s[4],
          curvature: weightedProduct(q0, q0, weight),
          crossCurvature: weightedProduct(q, q0, weight),
        },
      }, state.damping + l2);
      const moved = names.map((name, l) => {
        const along = mul<Tensor3D>(D[l], alpha);
        const update = previous ? add(along, mul(previous[l], mu)) : along;
        return [name, { ...state.layers.get(name)!, previous: { update } }] as const;
      });
      return {
        fields: { alpha, mu, predicted_change: predictedChange },
        state: withLayers(state, moved),
      };
    },
  };
}

/** Σ of numbers on the device, `[1]`. */
export function total(terms: readonly Tensor[]): Tensor1D {
  return reshape(terms.reduce((x, y) => add(x, y)), [1]) as Tensor1D;
}
