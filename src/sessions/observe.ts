/**
 * Batches into the running averages of their layers, and into S of EKFAC.
 *
 * Layers run side by side, so that their linear algebra meets in one batch. All functions are pure: they take a state and
 * give the next.
 *
 * @module
 */
import type { Tensor3D } from "@tensorflow/tfjs-core";
import {
  average,
  averageNamed,
  chainFactors,
  type Context,
  gradientSecondMoments,
  type Layer,
  layerMethod,
  mapNamed,
  type ModelLayer,
  type NamedTensors,
  namedTensors,
  type PairProducts,
  runningDecay,
  type Samples,
  sideBySide,
} from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { Stack } from "@/linalg/mod.ts";
import type { Outcome } from "./outcome.ts";
import type { LayerState, Tolerances } from "./state.ts";
import {
  type Changed,
  copied,
  type Layers,
  type Observations,
  outcomeIn,
  revived,
  type Work,
} from "./observation.ts";

/** Takes batches into the running averages of their layers. S of EKFAC is not touched: see {@linkcode track}. */
export function observe(layers: Layers, observations: Observations, work: Work): Promise<Changed> {
  if (work.method === "kfac_tridiagonal") return observeChain(layers, observations, work);
  // their coarse Fisher is of the same examples in every layer
  if (work.method === "kfac_two_level") expectTogether(layers, observations);
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

function modelLayer(name: string, observations: Observations): ModelLayer<Samples> {
  const observation = observations.get(name);
  if (observation?.batch.kind !== "samples") throw apart(name);
  return { layer: observation.layer, samples: observation.batch.samples as Samples };
}

/** @throws CurvdError `invalid-request` where a layer is missing, or of another number of examples. */
function expectTogether(layers: Layers, observations: Observations): void {
  const counts = [...layers.keys()].map((name) => {
    const batch = observations.get(name)?.batch;
    if (!batch || batch.kind === "factors") throw apart(name);
    return { name, examples: batch.kind === "samples" ? batch.words.examples : null };
  });
  const [first] = counts;
  for (const { name, examples } of counts) {
    if (examples !== first.examples) throw apart(name);
  }
}

function apart(name: string): CurvdError {
  return new CurvdError("invalid-request", `Layer "${name}": coupled layers come all together`, {
    layer: name,
    suggestion:
      "send inputs and output_gradients of every layer, of the same examples, in one call",
  });
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
