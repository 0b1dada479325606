/**
 * A session's method on the ordered layers of its model: observe, track, refresh, precondition.
 *
 * Layers run side by side, so that their linear algebra meets in one batch. All functions are pure: they take a state and
 * give the next.
 *
 * @module
 */
import type { Tensor, Tensor1D, Tensor3D } from "@tensorflow/tfjs-core";
import {
  applyForms,
  average,
  averageNamed,
  type ChainFactors,
  chainFactors,
  chainPreconditioner,
  type Context,
  gradientSecondMoments,
  type Layer,
  layerMethod,
  type LinkForms,
  mapNamed,
  type MethodName,
  type MethodOptions,
  type ModelLayer,
  type NamedTensors,
  namedTensors,
  nestedState,
  type PairProducts,
  runningDecay,
  type Samples,
  sideBySide,
  solveChain,
  solveTwoLevel,
  transported,
  twoLevelPreconditioner,
} from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { LinearAlgebra, Report, Stack } from "@/linalg/mod.ts";
import type { Outcome } from "./outcome.ts";
import type { BatchWords, LayerState, Tolerances } from "./state.ts";

/** A batch of one layer, on the device. */
export interface Observation {
  readonly layer: Layer;
  readonly batch:
    | {
      readonly kind: "samples";
      readonly samples: PairProducts;
      /** The tensors that the samples are of, by wire name. */
      readonly raw: NamedTensors;
      readonly words: BatchWords;
    }
    | { readonly kind: "factors"; readonly factors: NamedTensors; readonly tolerances: Tolerances }
    /** Of a batch that is gone: what the log kept of it. */
    | { readonly kind: "outcome"; readonly outcome: Outcome };
}

/** What a transition works with. */
export interface Work {
  readonly method: MethodName;
  readonly options: MethodOptions;
  readonly decay: number;
  readonly scalings: "per_example" | "batch_gradient";
  readonly linalg: LinearAlgebra;
}

type Layers = ReadonlyMap<string, LayerState>;
type Observations = ReadonlyMap<string, Observation>;
type Changed = Map<string, LayerState>;

/** Takes batches into the running averages of their layers. S of EKFAC is not touched: see {@linkcode track}. */
export function observe(layers: Layers, observations: Observations, work: Work): Promise<Changed> {
  if (work.method === "kfac_tridiagonal") return observeChain(layers, observations, work);
  return sideBySide(observations, async (observation, name): Promise<LayerState> => {
    const state = layers.get(name)!;
    const k = state.batches + 1;
    const rho = runningDecay(k, work.decay);
    const { batch } = observation;
    if (batch.kind === "outcome") return left(state, batch.outcome, work);
    const taken = { ...state, batches: k, source: batch.kind };
    if (batch.kind === "factors") {
      return {
        ...taken,
        averages: averageNamed(state.averages, batch.factors, rho),
        tolerances: averageTolerances(state.tolerances, batch.tolerances, rho),
      };
    }
    const averages = await averaged(state, observation.layer, batch.samples, rho, name, work);
    const tolerances = averageTolerances(state.tolerances, {}, rho);
    const raw = work.method === "kfac_two_level"
      ? { batch: mapNamed(batch.raw, (tensor) => tensor.clone()), words: batch.words }
      : null;
    return { ...taken, averages, tolerances, raw };
  });
}

/** The layer as a batch left it that is gone. */
function left(state: LayerState, { averages }: Outcome, { decay }: Work): LayerState {
  const k = state.batches + 1;
  return {
    ...state,
    batches: k,
    source: "samples",
    averages: copied(averages),
    tolerances: averageTolerances(state.tolerances, {}, runningDecay(k, decay)),
  };
}

async function averaged(
  { averages }: LayerState,
  layer: Layer,
  samples: PairProducts,
  rho: number,
  name: string,
  { method: methodName, options, linalg }: Work,
): Promise<NamedTensors> {
  const context: Context = { name, linalg, options };
  // two-level K-FAC's P is K-FAC
  const method = layerMethod(methodName === "kfac_two_level" ? "kfac" : methodName, layer);
  if (rho > 0 && method.average) {
    const old = revived(averages, layer, method.revive, options);
    return namedTensors(await method.average(old, samples, rho, context));
  }
  return averageNamed(averages, namedTensors(await method.observe(samples, context)), rho);
}

/** All layers of a chain, from the same examples. */
function observeChain(layers: Layers, observations: Observations, work: Work): Promise<Changed> {
  const names = [...layers.keys()];
  const outcomes = names.map((name) => outcomeIn(observations.get(name)));
  if (outcomes.every((outcome) => outcome !== null)) {
    const states = names.map((name, l) =>
      [name, left(layers.get(name)!, outcomes[l], work)] as const
    );
    return Promise.resolve(new Map(states));
  }
  const chain = chainFactors(names.map((name) => modelLayer(name, observations)));
  return Promise.resolve(
    new Map(names.map((name, l) => {
      const state = layers.get(name)!;
      const k = state.batches + 1;
      const averages = averageNamed(
        state.averages,
        namedTensors(chain[l]),
        runningDecay(k, work.decay),
      );
      return [name, { ...state, batches: k, source: "samples", averages }];
    })),
  );
}

function outcomeIn(observation: Observation | undefined): Outcome | null {
  return observation?.batch.kind === "outcome" ? observation.batch.outcome : null;
}

function modelLayer(name: string, observations: Observations): ModelLayer<Samples> {
  const observation = observations.get(name);
  if (observation?.batch.kind !== "samples") {
    throw new CurvdError("invalid-request", `Layer "${name}": coupled layers come all together`, {
      layer: name,
      suggestion: "send inputs and output_gradients of every layer in one call",
    });
  }
  return { layer: observation.layer, samples: observation.batch.samples as Samples };
}

/** Takes batches into S of EKFAC and TEKFAC, in the basis they have: what a step does that does not refresh. */
export function track(layers: Layers, observations: Observations, work: Work): Changed {
  const changed: Changed = new Map();
  for (const [name, { batch }] of observations) {
    const state = layers.get(name)!;
    const { forms, batches } = state;
    if (batch.kind === "outcome" && "S" in forms) {
      changed.set(name, { ...state, forms: { ...forms, ...copied(batch.outcome.forms) } });
      continue;
    }
    if (!("S" in forms) || batch.kind !== "samples" || work.scalings !== "per_example") continue;
    const S = (batch.samples as Samples).secondMoments(forms.Q_A as Stack, forms.Q_G as Stack);
    const rho = runningDecay(batches, work.decay);
    changed.set(name, { ...state, forms: { ...forms, S: average(forms.S, S, rho) } });
  }
  return changed;
}

/** EKFAC-ra: takes mean gradients of n examples into S, with a constant decay. */
export function trackGradients(
  layers: Layers,
  gradients: ReadonlyMap<string, { V: Tensor3D; examples: number }>,
  work: Work,
): Changed {
  const changed: Changed = new Map();
  for (const [name, { V, examples }] of gradients) {
    const state = layers.get(name)!;
    const { forms } = state;
    if (!("S" in forms)) continue;
    const basis = { Q_A: forms.Q_A as Stack, Q_G: forms.Q_G as Stack };
    const S = average(forms.S, gradientSecondMoments(basis, V, examples), work.decay);
    changed.set(name, { ...state, forms: { ...forms, S } });
  }
  return changed;
}

/** A layer's preconditioner: its forms, what is known of their error, and eigenvalues that had to be found. */
interface Made {
  readonly forms: NamedTensors;
  readonly reports: Readonly<Record<string, Report[]>>;
  readonly spectra?: NamedTensors;
}

/** A preconditioner of every layer that has averages. */
export async function refresh(
  layers: Layers,
  observations: Observations,
  layerOf: (name: string) => Layer,
  work: Work,
): Promise<Map<string, Made>> {
  const known = new Map([...layers].filter(([, { batches }]) => batches > 0));
  const context = { name: "", linalg: work.linalg, options: work.options };
  const names = [...known.keys()];
  if (work.method === "kfac_tridiagonal") {
    const chain = names.map((name): ChainFactors => ({
      next: null,
      ...nestedState(known.get(name)!.averages) as object,
      name,
    } as ChainFactors));
    const { forms, reports } = await chainPreconditioner(chain, context);
    return new Map(names.map((name, l) => [name, { forms: forms[l], reports: reports[l] }]));
  }
  if (work.method === "kfac_two_level") {
    const { forms, reports } = await twoLevelPreconditioner(
      names.map((name) => {
        const layer = layerOf(name);
        return { layer, samples: samplesOfRaw(layer, known.get(name)!.raw!) };
      }),
      names.map((name) => factorsOf(known.get(name)!.averages)),
      context,
    );
    return new Map(
      names.map((name, l) => [name, { forms: copied(forms[l]), reports: reports[l] }]),
    );
  }
  return await sideBySide(known, async (state, name) => {
    const outcome = outcomeIn(observations.get(name));
    if (outcome?.forms.Q_A) return { forms: copied(outcome.forms), reports: {} };
    const layer = layerOf(name);
    const batch = observations.get(name)?.batch;
    const samples = batch?.kind === "samples" && work.scalings === "per_example"
      ? batch.samples
      : undefined;
    const made = await refreshLayer(state, layer, { ...context, name }, samples, work);
    return { ...made, forms: copied(made.forms) };
  });
}

/** One layer's forms, with S of EKFAC carried over from the last basis. */
async function refreshLayer(
  state: LayerState,
  layer: Layer,
  context: Context,
  samples: PairProducts | undefined,
  work: Work,
): Promise<Made> {
  const method = layerMethod(work.method, layer);
  const averages = revived(state.averages, layer, method.revive, work.options);
  const { forms, reports, spectra } = await method.refresh(
    withTolerances(averages as object, state.tolerances),
    context,
    samples,
  );
  const isCarried = "S" in forms && "S" in state.forms &&
    (work.scalings === "batch_gradient" || state.source === "samples");
  if (!isCarried) return { forms, reports, spectra };
  const basisOf = (of: NamedTensors) => ({ Q_A: of.Q_A as Stack, Q_G: of.Q_G as Stack });
  const carried = transported(state.forms.S as Tensor3D, basisOf(state.forms), basisOf(forms));
  const S = samples
    ? average<Tensor>(carried, forms.S, runningDecay(state.batches, work.decay))
    : carried;
  return { forms: { ...forms, S }, reports, spectra };
}

/** Updates of gradients, by the forms of their layers. */
export async function precondition(
  layers: Layers,
  gradients: ReadonlyMap<string, Tensor3D>,
  layerOf: (name: string) => Layer,
  { method, options, linalg }: Pick<Work, "method" | "options" | "linalg">,
): Promise<Map<string, Tensor3D>> {
  if (method === "kfac_tridiagonal" || method === "kfac_two_level") {
    const names = [...layers.keys()];
    const V = names.map((name) => {
      const gradient = gradients.get(name);
      if (gradient) return gradient;
      throw new CurvdError("invalid-request", `Layer "${name}": ${method} needs all gradients`, {
        layer: name,
        tensor: "gradient",
      });
    });
    const forms = names.map((name) => layers.get(name)!.forms);
    const updates = method === "kfac_tridiagonal"
      ? solveChain(forms as unknown as LinkForms[], V)
      : await solveTwoLevel(
        names.map((name) => {
          const layer = layerOf(name);
          return { layer, samples: samplesOfRaw(layer, layers.get(name)!.rawOfForms!) };
        }),
        forms as unknown as Parameters<typeof solveTwoLevel>[1],
        V,
        { name: "", linalg, options },
      );
    return new Map(names.map((name, l) => [name, updates[l]]));
  }
  return new Map(
    [...gradients].map(([name, V]) => {
      const { forms } = layers.get(name)!;
      const isUnknown = Object.keys(forms).length === 0; // answered as it is, where that was asked for
      return [name, isUnknown ? V.clone() : applyForms(forms, layerOf(name), options, V)];
    }),
  );
}

/** The factors of averages by the names of two-level K-FAC. */
function factorsOf({ A, G }: NamedTensors): { A: Stack; G: Stack } {
  return { A: A as Stack, G: G as Stack };
}

/** A raw batch that was kept. */
function samplesOfRaw(
  layer: Layer,
  { batch, words }: { batch: NamedTensors; words: BatchWords },
): Samples {
  const { inputs, output_gradients, mask } = batch;
  return layer.samples({
    inputs,
    outputGradients: output_gradients,
    mask: mask && { places: mask as Tensor1D, real: words.maskedPlaces! },
    ...words,
  }) as Samples;
}

function copied(tensors: NamedTensors): NamedTensors {
  return mapNamed(tensors, (tensor) => tensor.clone());
}

function revived(
  averages: NamedTensors,
  layer: Layer,
  revive: ((tensors: NamedTensors, layer: Layer, options: MethodOptions) => unknown) | undefined,
  options: MethodOptions,
): unknown {
  return revive ? revive(averages, layer, options) : nestedState(averages);
}

/** Averages of factors that came from outside are positive up to their own rounding alone. */
function withTolerances(averages: object, tolerances: Tolerances): object {
  return Object.keys(tolerances).length === 0 ? averages : { ...averages, tolerances };
}

function averageTolerances(old: Tolerances, batch: Tolerances, rho: number): Tolerances {
  const factors = new Set([...Object.keys(old), ...Object.keys(batch)]);
  return Object.fromEntries(
    [...factors].map((factor) => {
      const blocks = (old[factor] ?? batch[factor]).length;
      const at = (of: Tolerances, i: number) => of[factor]?.[i] ?? 0;
      return [
        factor,
        Array.from({ length: blocks }, (_, i) => rho * at(old, i) + (1 - rho) * at(batch, i)),
      ];
    }),
  );
}
