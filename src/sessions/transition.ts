/**
 * What a session's calls do to its state, on the device: pure, from one state to the next.
 *
 * Each runs inside a tensor scope of its caller's and may run again (a rescue in float64), so nothing here is installed, written
 * or disposed.
 *
 * @module
 */
import type { Tensor3D } from "@tensorflow/tfjs-core";
import {
  isDampingFree,
  type Layer,
  mapNamed,
  type MethodName,
  type NamedTensors,
} from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { LinearAlgebra, Report } from "@/linalg/mod.ts";
import {
  type Identity,
  isGradientMethod,
  optionsOf,
  SHAMPOO_ROOT,
  soapOptionsOf,
} from "./configuration.ts";
import { largestDrift, unbased } from "./drift.ts";
import { type Findings, findingsOf } from "./findings.ts";
import {
  lastSoapUpdates,
  observeShampoo,
  refreshShampoo,
  stepSoapLayers,
} from "./gradient_running.ts";
import type { Observation, Work } from "./observation.ts";
import { observe, track, trackGradients } from "./observe.ts";
import { precondition } from "./precondition.ts";
import { refresh } from "./refresh.ts";
import { type LayerState, NO_TENSORS, type SessionState, withLayers } from "./state.ts";

/** What every transition is given. */
export interface Setting {
  readonly identity: Identity;
  readonly linalg: LinearAlgebra;
  /** A layer with all the sizes known so far. */
  readonly layerOf: (name: string) => Layer;
  /** Whether a refresh that is due may wait (mode async, and one preconditioner is there). */
  readonly mayDefer: boolean;
  /** Whether the last preconditioner is kept for answers given again. */
  readonly retains: boolean;
}

/** Forms of layers, what is known of their error, and eigenvalues that had to be found. */
export type Refreshed = ReadonlyMap<
  string,
  {
    readonly forms: NamedTensors;
    readonly reports: Readonly<Record<string, Report[]>>;
    readonly spectra?: NamedTensors;
  }
>;

/** A state after observations. */
export interface Taken {
  readonly state: SessionState;
  /** Whether this call made a preconditioner. */
  readonly isRefreshed: boolean;
  /** Whether one is due that was not made, as it may wait. */
  readonly isDue: boolean;
  /** By layer, of the preconditioner that was made. */
  readonly findings?: ReadonlyMap<string, Findings>;
}

/** A gradient of one layer: V, and the examples it is the mean of where that is known. */
export interface Gradient {
  readonly V: Tensor3D;
  readonly examples: number | null;
}

/** Takes a batch (or none, in a step of gradients alone), and refreshes where that is due. */
export async function takeStatistics(
  state: SessionState,
  observations: ReadonlyMap<string, Observation>,
  setting: Setting,
): Promise<Taken> {
  const work = workOf(state, setting);
  const isEmpty = observations.size === 0;
  const observed = isEmpty
    ? state
    : withLayers(state, await observe(state.layers, observations, work));
  const isBlank = isEmpty && [...state.layers.values()].every(({ batches }) => batches === 0);
  const isDue = !isBlank && await refreshIsDue(observed, [...observations.keys()], setting.linalg);
  const lacks = [...observations.keys()].some((name) => isUnknown(observed.layers.get(name)!));
  if (isDue && !(setting.mayDefer && state.version > 0 && !lacks)) {
    const made = await refresh(observed.layers, observations, setting.layerOf, work);
    return takenAnew(observed, made, setting);
  }
  const tracked = withLayers(observed, track(observed.layers, observations, work));
  return { state: { ...tracked, age: state.age + 1 }, isRefreshed: false, isDue };
}

/** Takes gradients into what needs nothing else: Shampoo's averages. */
export async function takeGradients(
  state: SessionState,
  gradients: ReadonlyMap<string, Gradient>,
  setting: Setting,
): Promise<Taken> {
  const { settings: { decay } } = state;
  const V = new Map([...gradients].map(([name, { V }]) => [name, V]));
  const observed = withLayers(state, observeShampoo(state.layers, V, decay));
  const lacks = [...V.keys()].some((name) => isUnknown(observed.layers.get(name)!));
  const isDue = await refreshIsDue(observed, [...V.keys()], setting.linalg);
  if (isDue && !(setting.mayDefer && state.version > 0 && !lacks)) {
    return await refreshAll(observed, setting);
  }
  return { state: { ...observed, age: state.age + 1 }, isRefreshed: false, isDue };
}

/** A new preconditioner from the averages as they are. @throws CurvdError `conflict` where there are none. */
export async function refreshAll(state: SessionState, setting: Setting): Promise<Taken> {
  return takenAnew(state, await formsOf(state, setting), setting);
}

function takenAnew(state: SessionState, made: Refreshed, setting: Setting): Taken {
  const findings = new Map(
    [...made].map(([name, each]) => [name, findingsOf(state.layers.get(name)!, each)]),
  );
  return { state: refreshed(state, made, setting), isRefreshed: true, isDue: false, findings };
}

/** The forms of a state's averages: what is costly of a refresh. @param only some of its layers. */
export function formsOf(
  state: SessionState,
  setting: Setting,
  only?: ReadonlySet<string>,
): Promise<Refreshed> {
  const { identity: { method, root = SHAMPOO_ROOT }, linalg, layerOf } = setting;
  if (method === "soap") {
    throw new CurvdError("unsupported", "SOAP turns its basis in its own steps alone", {
      value: "soap",
      suggestion: "refresh.every is its period",
    });
  }
  if ([...state.layers.values()].every(({ batches }) => batches === 0)) {
    throw new CurvdError("conflict", "The session has no statistics yet", {
      suggestion: "send statistics, or a step",
    });
  }
  const layers = only
    ? new Map([...state.layers].filter(([name]) => only.has(name)))
    : state.layers;
  if (method === "shampoo") {
    return refreshShampoo(layers, root, optionsOf(setting.identity, state.damping), linalg);
  }
  return refresh(layers, new Map(), layerOf, workOf(state, setting));
}

/** The state with a new preconditioner, of the averages it has. */
export function refreshed(
  state: SessionState,
  made: Refreshed,
  { retains }: Pick<Setting, "retains">,
): SessionState {
  const { settings: { refresh: { drift } } } = state;
  const next = withLayers(
    state,
    [...made].map(([name, { forms }]) => {
      const layer = state.layers.get(name)!;
      const { raw, averages } = layer;
      return [name, {
        ...layer,
        forms,
        batchesAtRefresh: layer.batches,
        reference: drift === null
          ? NO_TENSORS
          : mapNamed(unbased(averages, forms), (tensor) => tensor.clone()),
        rawOfForms: raw && { ...raw, batch: mapNamed(raw.batch, (tensor) => tensor.clone()) },
      }] as const;
    }),
  );
  return {
    ...next,
    version: state.version + 1,
    age: 0,
    isStale: false,
    retained: keep(state, retains),
  };
}

function keep(state: SessionState, retains: boolean): SessionState["retained"] {
  if (!retains || state.version === 0) return null;
  return {
    version: state.version,
    forms: new Map([...state.layers].map(([name, { forms }]) => [name, forms])),
  };
}

/** A step of SOAP. */
export async function stepSoapSession(
  state: SessionState,
  gradients: ReadonlyMap<string, Gradient>,
  { identity, linalg }: Setting,
): Promise<{ taken: Taken; updates: Map<string, Tensor3D>; isFirst: boolean }> {
  const steps = await stepSoapLayers(
    state.layers,
    new Map([...gradients].map(([name, { V }]) => [name, V])),
    soapOptionsOf(identity, state.settings, state.damping),
    optionsOf(identity, state.damping),
    linalg,
  );
  const all = [...steps];
  const turned = all.filter(([, { isTurned }]) => isTurned);
  const isTurned = turned.length > 0;
  const next = withLayers(
    state,
    all.map(([name, { state, isTurned }]) =>
      [name, isTurned ? { ...state, batchesAtRefresh: state.batches } : state] as const
    ),
  );
  const findings = new Map(turned.map(([name, { state: { averages, forms } }]) => {
    const before = { ...state.layers.get(name)!, averages };
    return [name, findingsOf(before, { forms, reports: {} })] as const;
  }));
  const version = state.version + Number(isTurned), age = isTurned ? 0 : state.age + 1;
  return {
    taken: { state: { ...next, version, age }, isRefreshed: isTurned, isDue: false, findings },
    updates: new Map(all.map(([name, { update }]) => [name, update])),
    isFirst: all.some(([, { isFirst }]) => isFirst),
  };
}

/** What SOAP's last step answered, from the state it left. */
export function lastSoapStep(
  { layers, settings, damping }: SessionState,
  names: Iterable<string>,
  identity: Identity,
): Map<string, Tensor3D> {
  return lastSoapUpdates(layers, names, soapOptionsOf(identity, settings, damping));
}

/** EKFAC-ra: takes the step's gradients into S. @throws CurvdError where nothing tells how many examples they are of. */
export function trackStepGradients(
  state: SessionState,
  gradients: ReadonlyMap<string, Gradient>,
  setting: Setting,
): SessionState {
  if (setting.identity.scalings !== "batch_gradient") return state;
  const known = new Map(
    [...gradients].map(([name, { V, examples }]) => {
      if (examples !== null) return [name, { V, examples }];
      throw new CurvdError(
        "invalid-request",
        `Layer "${name}": scalings batch_gradient needs the number of examples of the gradient`,
        { layer: name, pointer: `/layers/${name}/samples`, suggestion: "state samples" },
      );
    }),
  );
  return withLayers(state, trackGradients(state.layers, known, workOf(state, setting)));
}

/** Updates of gradients by the state's preconditioner. */
export function updatesOf(
  state: SessionState,
  gradients: ReadonlyMap<string, Gradient>,
  { identity, linalg, layerOf }: Pick<Setting, "identity" | "linalg" | "layerOf">,
): Promise<Map<string, Tensor3D>> {
  return precondition(
    state.layers,
    new Map([...gradients].map(([name, { V }]) => [name, V])),
    layerOf,
    {
      method: identity.method as MethodName,
      options: optionsOf(identity, state.damping),
      linalg,
    },
  );
}

/** Whether every preconditioner of a state takes another λ as it is. */
export function takesAnyDamping({ layers }: SessionState): boolean {
  return [...layers.values()].every(({ forms }) =>
    Object.keys(forms).length === 0 || isDampingFree(forms)
  );
}

/** Whether the drift of every average is known. */
export function hasReferences({ layers }: SessionState): boolean {
  return [...layers.values()].every((layer) =>
    isUnknown(layer) ||
    Object.keys(unbased(layer.averages, layer.forms)).every((name) => name in layer.reference)
  );
}

/** Whether a layer has no preconditioner. */
export function isUnknown({ forms }: LayerState): boolean {
  return Object.keys(forms).length === 0;
}

function workOf(state: SessionState, { identity, linalg }: Setting): Work {
  const { method } = identity;
  if (isGradientMethod(method)) {
    throw new CurvdError("unsupported", `${method} takes gradients alone, by steps`, {
      value: method,
      suggestion: "send each layer's gradient to steps",
    });
  }
  return {
    method: method as MethodName,
    options: optionsOf(identity, state.damping),
    decay: state.settings.decay,
    scalings: identity.scalings ?? "per_example",
    linalg,
  };
}

/** Whether the state, a batch later than its counters, is due for a refresh. */
async function refreshIsDue(
  { version, age, isStale, settings: { refresh: { every, drift } }, layers }: SessionState,
  observed: readonly string[],
  linalg: LinearAlgebra,
): Promise<boolean> {
  if (version === 0 || isStale || (every !== null && age + 1 >= every)) return true;
  if (observed.some((name) => isUnknown(layers.get(name)!))) return true;
  if (drift === null) return false;
  return await largestDrift([...layers.values()], linalg) > drift;
}
