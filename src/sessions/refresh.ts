/**
 * A preconditioner of the running averages, for every method on the ordered layers of its model.
 *
 * @module
 */
import type { Tensor, Tensor3D } from "@tensorflow/tfjs-core";
import {
  average,
  type ChainFactors,
  chainPreconditioner,
  type Context,
  type Layer,
  layerMethod,
  type NamedTensors,
  nestedState,
  type PairProducts,
  runningDecay,
  sideBySide,
  transported,
  twoLevelPreconditioner,
} from "@/curvature/mod.ts";
import type { Report, Stack } from "@/linalg/mod.ts";
import type { LayerState, Tolerances } from "./state.ts";
import {
  copied,
  type Layers,
  type Observations,
  outcomeIn,
  revived,
  type Work,
} from "./observation.ts";
import { samplesOfRaw } from "./precondition.ts";

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

/** The factors of averages by the names of two-level K-FAC. */
function factorsOf({ A, G }: NamedTensors): { A: Stack; G: Stack } {
  return { A: A as Stack, G: G as Stack };
}

/** Averages of factors that came from outside are positive up to their own rounding alone. */
function withTolerances(averages: object, tolerances: Tolerances): object {
  return Object.keys(tolerances).length === 0 ? averages : { ...averages, tolerances };
}
