/**
 * Shampoo and SOAP in a session: what they keep comes from gradients alone.
 *
 * Shampoo's L and R are averages, its roots the forms. SOAP's step moves everything it has, its basis included, so its update
 * is the step's own: there is nothing to precondition another gradient with.
 *
 * @module
 */
import type { Tensor3D } from "@tensorflow/tfjs-core";
import {
  type MethodOptions,
  type NamedTensors,
  observeGradient,
  shampooRoots,
  type ShampooState,
  sideBySide,
  type SoapOptions,
  type SoapState,
  soapUpdate,
  startSoap,
  stepSoap,
  turnsBefore,
} from "@/curvature/mod.ts";
import type { LinearAlgebra, Report } from "@/linalg/mod.ts";
import type { LayerState } from "./state.ts";

type Layers = ReadonlyMap<string, LayerState>;
type Gradients = ReadonlyMap<string, Tensor3D>;

/** Takes gradients into Shampoo's L and R. */
export function observeShampoo(
  layers: Layers,
  gradients: Gradients,
  beta: number,
): Map<string, LayerState> {
  return new Map([...gradients].map(([name, D]) => {
    const state = layers.get(name)!;
    const old = state.batches === 0 ? null : state.averages as unknown as ShampooState;
    const averages = { ...observeGradient(old, D, beta) };
    return [name, { ...state, batches: state.batches + 1, averages }];
  }));
}

/** The roots of every layer that has had a gradient. */
export function refreshShampoo(
  layers: Layers,
  root: number,
  options: MethodOptions,
  linalg: LinearAlgebra,
): Promise<Map<string, { forms: NamedTensors; reports: Readonly<Record<string, Report[]>> }>> {
  const known = new Map([...layers].filter(([, { batches }]) => batches > 0));
  return sideBySide(known, async ({ averages }, name) => {
    const state = averages as unknown as ShampooState;
    const { roots, reports } = await shampooRoots(state, { name, linalg, options }, root);
    return { forms: { ...roots }, reports };
  });
}

/** The updates that the last step of these layers made. */
export function lastSoapUpdates(
  layers: Layers,
  names: Iterable<string>,
  soap: SoapOptions,
): Map<string, Tensor3D> {
  return new Map(
    [...names].map((name) => {
      const { averages, forms, batches } = layers.get(name)!;
      const state = { ...averages, ...forms } as unknown as SoapState;
      return [name, soapUpdate(state, batches - 1, soap)];
    }),
  );
}

/** What SOAP's step makes of a layer. */
export interface SoapStep {
  readonly state: LayerState;
  /** Zero where the gradient was the first, which only sets the basis. */
  readonly update: Tensor3D;
  readonly isFirst: boolean;
  readonly isTurned: boolean;
}

/** One SOAP step of the layers that have a gradient. */
export function stepSoapLayers(
  layers: Layers,
  gradients: Gradients,
  soap: SoapOptions,
  options: MethodOptions,
  linalg: LinearAlgebra,
): Promise<Map<string, SoapStep>> {
  return sideBySide(gradients, async (D, name): Promise<SoapStep> => {
    const state = layers.get(name)!;
    const t = state.batches; // the first gradient does not count
    const context = { name, linalg, options };
    if (t === 0) {
      const { L, R, ...forms } = await startSoap(D, context, soap);
      const next = { ...state, batches: 1, averages: { L, R }, forms };
      return { state: next, update: forms.M.clone() as Tensor3D, isFirst: true, isTurned: true };
    }
    const old = { ...state.averages, ...state.forms } as unknown as SoapState;
    const { state: { L, R, ...forms }, update } = await stepSoap(old, D, t, context, soap);
    const next = { ...state, batches: t + 1, averages: { L, R }, forms };
    return { state: next, update, isFirst: false, isTurned: turnsBefore(t, soap) };
  });
}
