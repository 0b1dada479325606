/**
 * How far a layer's averages have moved from its preconditioner.
 *
 * Where that has an eigenbasis of an average, the average is measured in it: nothing else need be kept. Where it has none
 * (inverses, blocks), a copy of the average at the refresh is kept for as long as drift is bounded.
 *
 * @module
 */
import { max, type Scalar, stack, type Tensor1D, type Tensor2D } from "@tensorflow/tfjs-core";
import type { NamedTensors } from "@/curvature/mod.ts";
import { basisDrift, type LinearAlgebra, relativeChange, type Stack } from "@/linalg/mod.ts";
import type { LayerState } from "./state.ts";

/** By the name of an average: the factor it is of, and the forms that an eigenbasis of it has. */
const BASES: Readonly<Record<string, { factor: string; vectors?: string; values?: string }>> = {
  A: { factor: "A", vectors: "Q_A", values: "lambda_A" },
  G: { factor: "G", vectors: "Q_G", values: "lambda_G" },
  deltaPhi: { factor: "A", vectors: "Q_A" },
  deltaPsi: { factor: "G", vectors: "Q_G" },
  L: { factor: "L", vectors: "Q_L" },
  R: { factor: "R", vectors: "Q_R" },
  frequencies: { factor: "A" },
};

/** The factor that an average is told under. */
export function factorOf(average: string): string {
  return BASES[average]?.factor ?? average;
}

/** What must be kept of averages so that drift is known later. */
export function unbased(averages: NamedTensors, forms: NamedTensors): NamedTensors {
  return Object.fromEntries(
    Object.entries(averages).filter(([name, { size }]) =>
      size > 1 && !((BASES[name]?.vectors ?? "") in forms)
    ),
  );
}

/** Drift of each average that it is known of, `[b]`, by factor; belongs to the current tensor scope. */
export function driftsOf(
  { averages, forms, reference }: Pick<LayerState, "averages" | "forms" | "reference">,
): Record<string, Tensor1D> {
  const drifts: Record<string, Tensor1D> = {};
  for (const [name, X] of Object.entries(averages)) {
    const { factor, vectors = "", values = "" } = BASES[name] ?? { factor: name };
    if (vectors in forms) {
      drifts[factor] = basisDrift(X as Stack, forms[vectors] as Stack, forms[values] as Tensor2D);
    } else if (name in reference) drifts[factor] = relativeChange(X, reference[name]);
  }
  return drifts;
}

/** The largest drift of all; 0 where nothing is known of it. */
export async function largestDrift(
  layers: readonly LayerState[],
  linalg: Pick<LinearAlgebra, "numbers">,
): Promise<number> {
  const drifts = layers.flatMap((layer) => Object.values(driftsOf(layer)));
  if (drifts.length === 0) return 0;
  const [largest] = await linalg.numbers([max(stack(drifts.map((each) => max(each)))) as Scalar]);
  return largest;
}
