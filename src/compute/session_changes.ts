/**
 * The changes that need no device (patch, report), and small matters of the log.
 *
 * @module
 */
import { keep, tensor } from "@tensorflow/tfjs-core";
import { adaptedDamping } from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import {
  hasReferences,
  patched,
  type SessionState,
  takesAnyDamping,
  withLayers,
} from "@/sessions/mod.ts";
import {
  type Document,
  isTensor,
  type ReportRequest,
  type SessionPatch,
  type WireTensor,
} from "@/wire/mod.ts";
import { type Entry, LAST_UPDATE } from "./session_log.ts";
import type { Transacted } from "./session_transaction.ts";
import type { StepAnswer } from "./session_update_answer.ts";

const NO_TIME = { compute_ms: 0, read_ms: 0 };

/** A patch or a report. */
export function hostTransition(
  state: SessionState,
  call: "patch" | "reports",
  request: Document,
): Transacted<StepAnswer> {
  const { next, fields } = call === "patch"
    ? patch(state, request as SessionPatch)
    : report(state, request as ReportRequest);
  return { state: next, answer: { fields, isRefreshed: false, isDue: false }, timing: NO_TIME };
}

/**
 * A new λ holds at once where the forms take any, else with the refresh that it makes due. So does a bound on drift where what
 * averages were at the last refresh was not kept.
 */
function patch(state: SessionState, request: SessionPatch) {
  const { settings, damping } = patched(state.settings, state.damping, request);
  const isUnmeasured = settings.refresh.drift !== null && !hasReferences(state);
  const isStale = state.isStale || isUnmeasured ||
    (damping !== state.damping && !takesAnyDamping(state));
  const next: SessionState = { ...state, settings, damping, isStale };
  return { next, fields: { damping, ...settings } };
}

/** λ by the Levenberg–Marquardt rule; forms that hold their λ get the new one when they are next refreshed. */
function report(state: SessionState, request: ReportRequest) {
  const rule = state.settings.damping_adapts;
  if (rule === null) {
    throw new CurvdError("conflict", "The session's damping does not adapt: there is no rule", {
      suggestion: '"damping": {"rule": "levenberg_marquardt", "value": λ}',
    });
  }
  const { reductionRatio, damping } = adaptedDamping(state.damping, {
    lossBefore: request.loss_before,
    lossAfter: request.loss_after ?? NaN,
    predictedChange: request.predicted_change,
  }, rule);
  const reduction_ratio = Number.isFinite(reductionRatio) ? reductionRatio : null;
  return { next: { ...state, damping }, fields: { reduction_ratio, damping } };
}

/** The state with the δ₀ that a logged step left. */
export function withLastUpdates(state: SessionState, { request }: Entry): SessionState {
  const logged = Object.entries(request.layers ?? {}).flatMap(([name, layer]) => {
    const leaf = layer[LAST_UPDATE];
    return isTensor(leaf) ? [[name, leaf as WireTensor] as const] : [];
  });
  return withLayers(
    state,
    logged.map(([name, { data, shape }]) => {
      const update = keep(tensor(data, [...shape]));
      return [name, { ...state.layers.get(name)!, previous: { update } }] as const;
    }),
  );
}

/** An answer's fields without its tensors and its layers: what is remembered with a key. */
export function plain({ layers: _, ...fields }: Document): Document {
  return Object.fromEntries(Object.entries(fields).filter(([, leaf]) => !isTensor(leaf)));
}

export function damaged(session: string, why: string): CurvdError {
  return new CurvdError("store-damaged", `The store is damaged: session "${session}": ${why}`, {
    value: session,
  });
}
