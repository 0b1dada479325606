/**
 * FOOF: activations alone, `U = V (A + λI)⁻¹`; K-FAC with G = I and λ on A.
 *
 * Source: Benzing 2022, "Gradient descent on neurons and its link to approximate second-order optimization".
 *
 * @module
 */
import {
  add,
  dispose,
  div,
  expandDims,
  matMul,
  max,
  mul,
  type Tensor1D,
  type Tensor3D,
  tidy,
} from "@tensorflow/tfjs-core";
import type { Stack } from "@/linalg/mod.ts";
import { clipped } from "./damping.ts";
import type { Context, LayerMethod, Preconditioner } from "./method.ts";
import type { Samples } from "./samples.ts";

export interface InputFactor {
  readonly A: Stack;
  readonly tolerances?: { A?: readonly number[] };
}

export const foof: LayerMethod<Samples, InputFactor> = {
  observe(samples) {
    return Promise.resolve({ A: samples.inputFactor() });
  },

  refresh(state, context) {
    return context.options.dampings.length === 1 ? invert(state, context) : sweep(state, context);
  },

  release({ A }) {
    dispose(A);
  },
};

async function invert(
  { A, tolerances }: InputFactor,
  { name, linalg, options }: Context,
): Promise<Preconditioner> {
  const [{ inverse, reports }] = await linalg.choleskyInverse([{
    name: `${name}.A`,
    matrix: A,
    shift: options.dampings[0],
    negativeTolerance: tolerances?.A,
  }]);
  return {
    reports: { A: reports },
    forms: { A_inv: inverse },
    apply: (V) => [matMul(V, inverse)],
    multiply: (V) => matMul(V, A),
    dispose: () => dispose(inverse),
  };
}

/** Several dampings from one eigenbasis. */
async function sweep(
  { A, tolerances }: InputFactor,
  { name, linalg, options }: Context,
): Promise<Preconditioner> {
  const [{ vectors: Q, values, reports }] = await linalg.eigh([{
    name: `${name}.A`,
    matrix: A,
    negativeTolerance: tolerances?.A,
  }]);
  const lambda = clipped(values);
  const largest = max<Tensor1D>(lambda, 1);
  dispose(values);
  const inBasis = (V: Tensor3D, scale: (lambda: Tensor3D) => Tensor3D) =>
    tidy(() => matMul(scale(matMul(V, Q)), Q, false, true) as Tensor3D);
  return {
    reports: { A: reports },
    largest,
    forms: { Q_A: Q, lambda_A: lambda },
    apply: (V) =>
      options.dampings.map((damping) =>
        inBasis(V, (projected) => div(projected, expandDims(add(lambda, damping), 1)))
      ),
    multiply: (V) => inBasis(V, (projected) => mul(projected, expandDims(lambda, 1))),
    dispose: () => dispose([Q, lambda, largest]),
  };
}
