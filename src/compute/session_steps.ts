/**
 * The calls that move a session: statistics, refresh, updates, steps. Each is work for {@linkcode transact}.
 *
 * @module
 */
import {
  add,
  mul,
  neg,
  reshape,
  scalar,
  slice,
  stack,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor3D,
} from "@tensorflow/tfjs-core";
import {
  klClipFactor,
  type Layer,
  type PairProducts,
  quadraticStep,
  weightedProduct,
} from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { LinearAlgebra, Report } from "@/linalg/mod.ts";
import {
  type Gradient,
  type Identity,
  isUnknown,
  lastSoapStep,
  type Observation,
  refreshAll,
  type SessionState,
  type Setting,
  stepSoapSession,
  takeGradients,
  type Taken,
  takeStatistics,
  trackStepGradients,
  updatesOf,
  withLayers,
} from "@/sessions/mod.ts";
import { type Document, tensorOf } from "@/wire/mod.ts";
import {
  gradientOf,
  layerOfDescription,
  observationOf,
  type SessionInput,
} from "./session_layers.ts";
import { expectFiniteResult, type Made } from "./session_transaction.ts";

/** A session as its steps see it. */
export interface Stepped {
  readonly identity: Identity;
  readonly state: SessionState;
  readonly inputs: ReadonlyMap<string, SessionInput>;
  readonly mayDefer: boolean;
  readonly retains: boolean;
}

/** Parameters of `updates` and `steps`. */
export interface UpdateParameters {
  readonly learning_rate?: number;
  readonly before_refresh?: "identity";
  readonly step_size?: "quadratic_model";
  readonly l2?: number;
}

/** What a call answers beside counters and timing, and what is to happen next. */
export interface StepAnswer {
  readonly fields: Document;
  readonly isRefreshed: boolean;
  readonly isDue: boolean;
}

/** Takes statistics outside a step. */
export async function statisticsWork(
  session: Stepped,
  linalg: LinearAlgebra,
): Promise<Made<StepAnswer>> {
  const setting = settingOf(session, linalg);
  const taken = await takeStatistics(withSizes(session), observationsOf(session), setting);
  return { state: taken.state, read: {}, finish: () => ({ answer: answerOf(taken, {}) }) };
}

/** A preconditioner of what there is. */
export async function refreshWork(
  session: Stepped,
  linalg: LinearAlgebra,
): Promise<Made<StepAnswer>> {
  const state = await refreshAll(session.state, settingOf(session, linalg));
  const taken: Taken = { state, isRefreshed: true, isDue: false };
  return { state, read: {}, finish: () => ({ answer: answerOf(taken, {}) }) };
}

/** Updates by the current preconditioner; nothing moves. */
export async function updatesWork(
  session: Stepped,
  parameters: UpdateParameters,
  linalg: LinearAlgebra,
): Promise<Made<StepAnswer>> {
  const { identity } = session;
  const state = withSizes(session);
  expectKnown(state, session.inputs, parameters);
  const gradients = gradientsOf(session, observationsOf(session)); // a step asked again may have a batch
  const updates = identity.method === "soap"
    ? lastSoapStep(state, gradients.keys(), identity)
    : await updatesOf(state, gradients, settingOf(session, linalg));
  const taken: Taken = { state: session.state, isRefreshed: false, isDue: false };
  return answered(session, taken, gradients, updates, parameters, new Map());
}

/** Statistics and gradients in one call: observe, refresh if due, update. */
export async function stepWork(
  session: Stepped,
  parameters: UpdateParameters,
  linalg: LinearAlgebra,
): Promise<Made<StepAnswer>> {
  const { taken, gradients, observations, updates, isFirst } = await moved(session, linalg);
  if (updates) {
    const fields = isFirst ? { initialised: true } : {};
    return answered(session, taken, gradients, updates, parameters, observations, fields);
  }
  expectKnown(taken.state, session.inputs, parameters);
  const byForms = await updatesOf(taken.state, gradients, settingOf(session, linalg));
  return answered(session, taken, gradients, byForms, parameters, observations);
}

/** What a logged step did to the state, without its updates. */
export async function replayWork(
  session: Stepped,
  linalg: LinearAlgebra,
): Promise<Made<StepAnswer>> {
  const { taken } = await moved(session, linalg, gradientsMove(session.identity));
  return { state: taken.state, read: {}, finish: () => ({ answer: answerOf(taken, {}) }) };
}

/** Whether gradients go into the state, and so into its log. */
export function gradientsMove({ method, scalings }: Identity): boolean {
  return method === "soap" || method === "shampoo" || scalings === "batch_gradient";
}

interface Moved {
  readonly taken: Taken;
  readonly gradients: ReadonlyMap<string, Gradient>;
  readonly observations: ReadonlyMap<string, Observation>;
  /** Of SOAP, whose step makes them. */
  readonly updates?: ReadonlyMap<string, Tensor3D>;
  readonly isFirst?: boolean;
}

/** The part of a step that changes the state. */
async function moved(
  session: Stepped,
  linalg: LinearAlgebra,
  needsGradients = true,
): Promise<Moved> {
  const { method } = session.identity;
  const setting = settingOf(session, linalg);
  const counted = (taken: Taken): Taken => ({
    ...taken,
    state: { ...taken.state, steps: taken.state.steps + 1 },
  });
  if (method === "soap" || method === "shampoo") {
    const observations = new Map<string, Observation>();
    const gradients = gradientsOf(session, observations);
    if (method === "shampoo") {
      const taken = await takeGradients(withSizes(session), gradients, setting);
      return { taken: counted(taken), gradients, observations };
    }
    const stepped = await stepSoapSession(withSizes(session), gradients, setting);
    const { state, updates, isFirst } = stepped;
    const isRefreshed = state.version > session.state.version;
    const taken = counted({ state, isRefreshed, isDue: false });
    return { taken, gradients, observations, updates, isFirst };
  }
  const observations = observationsOf(session);
  const gradients = needsGradients ? gradientsOf(session, observations) : new Map();
  const taken = await takeStatistics(withSizes(session), observations, setting);
  const state = trackStepGradients(taken.state, gradients, setting);
  return { taken: counted({ ...taken, state }), gradients, observations };
}

/** The layers that these inputs told sizes of. */
function withSizes({ state, inputs }: Stepped): SessionState {
  return withLayers(
    state,
    [...inputs].map(([name, { description }]) =>
      [name, { ...state.layers.get(name)!, description }] as const
    ),
  );
}

function settingOf(session: Stepped, linalg: LinearAlgebra): Setting {
  const { identity, state, inputs, mayDefer, retains } = session;
  const layerOf = (name: string): Layer =>
    inputs.get(name)?.prepared.layer ??
      layerOfDescription(name, state.layers.get(name)!.description);
  return { identity, linalg, layerOf, mayDefer, retains };
}

function observationsOf({ identity, inputs }: Stepped): Map<string, Observation> {
  return new Map(
    [...inputs].filter(([, { hasRaw, hasFactors }]) => hasRaw || hasFactors)
      .map(([name, input]) => [name, observationOf(identity, input)]),
  );
}

function gradientsOf(
  { inputs }: Stepped,
  observations: ReadonlyMap<string, Observation>,
): Map<string, Gradient> {
  return new Map(
    [...inputs].map(([name, input]) => [name, gradientOf(input, observations.get(name))]),
  );
}

/** Updates before any refresh are refused unless the call says what they are to be. */
function expectKnown(
  { layers }: SessionState,
  inputs: ReadonlyMap<string, SessionInput>,
  { before_refresh }: UpdateParameters,
): void {
  if (before_refresh === "identity") return;
  for (const name of inputs.keys()) {
    if (!isUnknown(layers.get(name)!)) continue;
    throw new CurvdError("conflict", `Layer "${name}" has no preconditioner yet`, {
      layer: name,
      suggestion: 'send its statistics, or say "before_refresh": "identity"',
    });
  }
}

function answerOf({ isRefreshed, isDue }: Taken, fields: Document): StepAnswer {
  return { fields: { ...fields, refreshed: isRefreshed }, isRefreshed, isDue };
}

/** Clips, reads and names the updates; with a step size, the quadratic model's. */
function answered(
  session: Stepped,
  taken: Taken,
  gradients: ReadonlyMap<string, Gradient>,
  updates: ReadonlyMap<string, Tensor3D>,
  parameters: UpdateParameters,
  observations: ReadonlyMap<string, Observation>,
  more: Document = {},
): Made<StepAnswer> {
  const { inputs } = session;
  const inner = total([...updates].map(([name, U]) => sum(mul(U, gradients.get(name)!.V))));
  const nu = clipOf(taken.state, inner, parameters);
  const clipped = new Map(
    [...updates].map(([name, U]): [string, Tensor3D] => [name, nu ? mul(U, slice(nu, 0, 1)) : U]),
  );
  const read: Record<string, Tensor> = {
    "numbers": stack([
      sum(nu ? mul(inner, nu) : inner),
      nu ? sum(nu) : scalar(1),
    ]),
  };
  const parts = new Map<string, { shape: number[]; biasShape?: number[] }>();
  for (const [name, U] of clipped) {
    const { update, biasUpdate } = inputs.get(name)!.prepared.layer.fromMatrix(U);
    parts.set(name, { shape: update.shape, biasShape: biasUpdate?.shape });
    read[`update ${name}`] = update.clone();
    if (biasUpdate) read[`bias ${name}`] = biasUpdate.clone();
  }
  const quadratic = parameters.step_size === undefined
    ? null
    : quadraticOf(taken.state, gradients, clipped, observations, parameters);
  Object.assign(read, quadratic?.read);
  return {
    state: taken.state,
    read,
    finish: (arrays) => {
      const [innerProduct, factor] = arrays.numbers;
      const layers = Object.fromEntries([...parts].map(([name, { shape, biasShape }]) => {
        const part = (field: string, from: string, of: number[]) => {
          const values = expectFiniteResult(arrays[`${from} ${name}`], {
            layer: name,
            tensor: field,
          });
          return tensorOf(of, values);
        };
        return [name, {
          update: part("update", "update", shape),
          ...(biasShape ? { bias_update: part("bias_update", "bias", biasShape) } : {}),
          ...diagnosticsOf(taken, name),
        }];
      }));
      const step = quadratic?.finish(arrays);
      const fields: Document = {
        layers,
        inner_product: innerProduct,
        ...(nu ? { kl_clip_factor: factor } : {}),
        ...step?.fields,
        ...more,
      };
      return { answer: answerOf(taken, fields), state: step?.state };
    },
  };
}

/** A fresh refresh reports how good it is. */
function diagnosticsOf({ state, isRefreshed }: Taken, name: string): Document {
  const { diagnostics } = state.layers.get(name)!;
  if (!isRefreshed || Object.keys(diagnostics).length === 0) return {};
  return {
    diagnostics: Object.fromEntries(
      Object.entries(diagnostics).map(([factor, reports]) => [factor, (reports as Report[])[0]]),
    ),
  };
}

function total(terms: readonly Tensor[]): Tensor1D {
  return reshape(terms.reduce((x, y) => add(x, y)), [1]) as Tensor1D;
}

/** The KL clip of the session's κ. @throws CurvdError `invalid-request` without a learning rate. */
function clipOf(
  { settings: { kl_clip: kappa } }: SessionState,
  inner: Tensor1D,
  { learning_rate: learningRate }: UpdateParameters,
): Tensor1D | null {
  if (kappa === null) return null;
  if (learningRate === undefined) {
    throw new CurvdError(
      "invalid-request",
      "The session clips (kl_clip): learning_rate is needed",
      {
        pointer: "/learning_rate",
      },
    );
  }
  return klClipFactor(inner, { kappa, learningRate });
}

/** The step sizes that the quadratic model of the batch likes best, and δ = αΔ + μδ₀, kept as the next δ₀. */
function quadraticOf(
  state: SessionState,
  gradients: ReadonlyMap<string, Gradient>,
  updates: ReadonlyMap<string, Tensor3D>,
  observations: ReadonlyMap<string, Observation>,
  { l2 = 0 }: UpdateParameters,
): {
  read: Record<string, Tensor>;
  finish: (
    arrays: Readonly<Record<string, Float32Array>>,
  ) => { fields: Document; state: SessionState };
} {
  const names = [...state.layers.keys()];
  const samples = names.map((name): PairProducts => {
    const batch = observations.get(name)?.batch;
    if (batch?.kind === "samples" && updates.has(name)) return batch.samples;
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
