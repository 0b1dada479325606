/**
 * The block of a normalisation layer, `(F + λI)^power v`: small enough to be kept whole, or as its diagonal. Every method of
 * independent layers treats such a layer so.
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
  pow,
  reshape,
  type Tensor1D,
  type Tensor3D,
  tidy,
} from "@tensorflow/tfjs-core";
import type { Stack } from "@/linalg/mod.ts";
import { clipped } from "./damping.ts";
import type { TangentSamples } from "./layer/mod.ts";
import type { Context, LayerMethod, Preconditioner } from "./method.ts";

/** F whole `[1, 2f, 2f]`, or its diagonal `[2f]`. */
export type ScaleAndShiftBlock =
  | { readonly block: "full"; readonly F: Stack; readonly tolerance?: readonly number[] }
  | { readonly block: "diagonal"; readonly F: Tensor1D };

/** The method of one kind of block. */
export function scaleAndShiftBlock(
  block: "full" | "diagonal",
): LayerMethod<TangentSamples, ScaleAndShiftBlock> {
  return {
    observe(samples) {
      return Promise.resolve(
        block === "full" ? { block, F: samples.fisher() } : { block, F: samples.fisherDiagonal() },
      );
    },

    refresh(state, context) {
      if (state.block === "diagonal") return Promise.resolve(divide(state.F, context));
      const { dampings, power } = context.options;
      return dampings.length === 1 && power === -1
        ? invert(state.F, context, state.tolerance)
        : diagonalize(state.F, context, state.tolerance);
    },

    revive({ F }) {
      return { block, F } as ScaleAndShiftBlock;
    },

    release({ F }) {
      dispose(F);
    },
  };
}

/** The preconditioner of a diagonal, which it does not take over. */
export function divide(
  F: Tensor1D,
  { options: { dampings, power } }: Pick<Context, "options">,
): Preconditioner {
  const largest = tidy(() => reshape(max(F), [1]) as Tensor1D);
  const row = (x: Tensor1D): Tensor3D => reshape(x, [1, 1, -1]);
  return {
    reports: {},
    forms: { F },
    largest,
    apply: (V) =>
      dampings.map((damping) =>
        tidy(() => {
          const damped = row(add(F, damping));
          return power === -1 ? div(V, damped) : mul(V, pow(damped, power));
        })
      ),
    multiply: (V) => tidy(() => mul(V, row(F))),
    dispose: () => dispose(largest),
  };
}

async function invert(
  F: Stack,
  { name, linalg, options: { dampings: [damping] } }: Context,
  negativeTolerance?: readonly number[],
): Promise<Preconditioner> {
  const [{ inverse, reports }] = await linalg.choleskyInverse([
    { name: `${name}.F`, matrix: F, shift: damping, negativeTolerance },
  ]);
  return {
    reports: { F: reports },
    forms: { F_inv: inverse },
    apply: (V) => [matMul(V, inverse)],
    multiply: (V) => matMul(V, F),
    dispose: () => dispose(inverse),
  };
}

async function diagonalize(
  F: Stack,
  { name, linalg, options: { dampings, power } }: Context,
  negativeTolerance?: readonly number[],
): Promise<Preconditioner> {
  const [{ vectors: Q, values, reports }] = await linalg.eigh([
    { name: `${name}.F`, matrix: F, negativeTolerance },
  ]);
  const lambda = clipped(values);
  const largest = max<Tensor1D>(lambda, 1);
  dispose(values);
  return {
    reports: { F: reports },
    forms: {},
    largest,
    apply: (V) =>
      dampings.map((damping) =>
        tidy(() => {
          const damped = expandDims<Tensor3D>(add(lambda, damping), 1);
          return matMul(mul(matMul(V, Q), pow(damped, power)), Q, false, true);
        })
      ),
    multiply: (V) => matMul(V, F),
    dispose: () => dispose([Q, lambda, largest]),
  };
}
