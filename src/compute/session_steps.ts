/**
 * The calls that move a session: statistics, refresh, updates, steps. Each is work for {@linkcode transact}.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Layer } from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { LinearAlgebra } from "@/linalg/mod.ts";
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
import type { Tensor3D } from "@tensorflow/tfjs-core";
import { diagnosed, diagnosticsDocument } from "./session_diagnostics.ts";
import type { SessionInput } from "./session_inputs.ts";
import { layerOfDescription } from "./session_layers.ts";
import { gradientOf, observationOf, outcomeObservation } from "./session_observations.ts";
import type { Remains } from "./session_log.ts";
import type { Made } from "./session_transaction.ts";
import {
  answered,
  answerOf,
  type StepAnswer,
  type UpdateParameters,
} from "./session_update_answer.ts";

/** A session as its steps see it. */
export interface Stepped {
  readonly identity: Identity;
  readonly state: SessionState;
  readonly inputs: ReadonlyMap<string, SessionInput>;
  readonly mayDefer: boolean;
  readonly retains: boolean;
  /** Told the state as soon as its averages have moved. */
  readonly whenTaken?: (state: SessionState) => void;
  /** Of a replay: what was left of layers whose batch is gone. */
  readonly remains?: ReadonlyMap<string, Remains>;
}

/** Takes statistics outside a step. */
export async function statisticsWork(
  session: Stepped,
  linalg: LinearAlgebra,
): Promise<Made<StepAnswer>> {
  const setting = settingOf(session, linalg);
  const taken = await takeStatistics(withSizes(session), observationsOf(session), setting);
  session.whenTaken?.(taken.state);
  return silent(taken);
}

/** A preconditioner of what there is. */
export async function refreshWork(
  session: Stepped,
  linalg: LinearAlgebra,
): Promise<Made<StepAnswer>> {
  return silent(await refreshAll(session.state, settingOf(session, linalg)));
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
  return answered(session.inputs, taken, gradients, updates, parameters, new Map());
}

/** Statistics and gradients in one call: observe, refresh if due, update. */
export async function stepWork(
  session: Stepped,
  parameters: UpdateParameters,
  linalg: LinearAlgebra,
): Promise<Made<StepAnswer>> {
  const { taken, gradients, observations, updates, isFirst } = await moved(session, linalg);
  if (session.whenTaken) {
    session.whenTaken(taken.state);
    await eventLoopTurn(); // what is written of it leaves before updates that hold the thread
  }
  if (updates) {
    const fields = isFirst ? { initialised: true } : {};
    const made = answered(
      session.inputs,
      taken,
      gradients,
      updates,
      parameters,
      observations,
      fields,
    );
    return withDiagnostics(made, taken);
  }
  expectKnown(taken.state, session.inputs, parameters);
  const byForms = await updatesOf(taken.state, gradients, settingOf(session, linalg));
  const made = answered(session.inputs, taken, gradients, byForms, parameters, observations);
  return withDiagnostics(made, taken);
}

/** What a logged step did to the state, without its updates. */
export async function replayWork(
  session: Stepped,
  linalg: LinearAlgebra,
): Promise<Made<StepAnswer>> {
  return silent((await moved(session, linalg, gradientsMove(session.identity))).taken);
}

/** A change that answers no updates. */
function silent(taken: Taken): Made<StepAnswer> {
  const finish = () => ({ answer: answerOf(taken, {}) });
  return withDiagnostics({ state: taken.state, read: {}, finish }, taken);
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
    const { taken, ...step } = await stepSoapSession(withSizes(session), gradients, setting);
    return { taken: counted(taken), gradients, observations, ...step };
  }
  const observations = observationsOf(session);
  const gradients = needsGradients ? gradientsOf(session, observations) : new Map();
  const taken = await takeStatistics(withSizes(session), observations, setting);
  const state = trackStepGradients(taken.state, gradients, setting);
  return { taken: counted({ ...taken, state }), gradients, observations };
}

/** Reads what a refresh found with the answer, which tells it layer by layer. */
function withDiagnostics(made: Made<StepAnswer>, { findings }: Taken): Made<StepAnswer> {
  if (!findings) return made;
  const { read, finish } = diagnosed(findings);
  return {
    state: made.state,
    read: { ...made.read, ...read },
    finish(arrays) {
      const { answer, state = made.state } = made.finish(arrays);
      const next = finish(state, arrays);
      for (const [name, layer] of Object.entries(answer.fields.layers ?? {})) {
        if (!findings.has(name)) continue;
        layer.diagnostics = diagnosticsDocument(next.layers.get(name)!.diagnostics);
      }
      return { answer, state: next };
    },
  };
}

function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
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

function observationsOf({ identity, inputs, remains }: Stepped): Map<string, Observation> {
  return new Map(
    [...inputs].filter(([name, { hasRaw, hasFactors }]) =>
      hasRaw || hasFactors || remains?.has(name)
    ).map(([name, input]) => {
      const left = remains?.get(name);
      return [name, left ? outcomeObservation(input, left) : observationOf(identity, input)];
    }),
  );
}

/** Gradients of the layers; what moved by those of a layer whose outcome was kept is part of that. */
function gradientsOf(
  { inputs, remains }: Stepped,
  observations: ReadonlyMap<string, Observation>,
): Map<string, Gradient> {
  return new Map(
    [...inputs].filter(([name]) => !remains?.has(name))
      .map(([name, input]) => [name, gradientOf(input, observations.get(name))]),
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
