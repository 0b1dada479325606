/**
 * What sessions tell of themselves: diagnostics of each factor, and the events of `GET /v1/sessions/{id}/events`.
 *
 * @module
 */
import * as z from "zod";
import { Diagnostics } from "./answer.ts";

export const SpectrumSummary = z.strictObject({
  source: z.enum(["eigenvalues", "diagonal"]).describe(
    "what the quantiles are of: the eigenvalues where the method had to find them, else the diagonal, which they majorise",
  ),
  min: z.number().optional(),
  p10: z.number().optional(),
  p25: z.number().optional(),
  median: z.number().optional(),
  p75: z.number().optional(),
  p90: z.number().optional(),
  max: z.number().optional(),
}).meta({ id: "SpectrumSummary" });

/** Of one factor: how good its last refresh was, and what that found. A fact that is infinite is left out. */
export const FactorDiagnostics = Diagnostics.extend({
  spectrum: SpectrumSummary.optional(),
  largest_eigenvalue: z.number().optional().describe(
    "‖M‖₂; by power steps, from below, where the spectrum's source is the diagonal",
  ),
  stable_rank: z.number().optional().describe("‖M‖_F²/‖M‖₂²"),
  drift: z.number().optional().describe("of the average from the preconditioner it replaced"),
}).meta({ id: "FactorDiagnostics" });

/** By factor: those of the method's averages, and `S` of EKFAC. */
export const LayerDiagnostics = z.record(z.string(), FactorDiagnostics);

const layerAge = z.int().describe("batches since those that the layer's preconditioner is of");
const kl = z.number().optional().describe(
  "lr² ⟨Δ, F̂ Δ⟩ of the answered updates by the preconditioner's own model, which kl_clip bounds; with a learning_rate",
);
const counters = {
  version: z.int(),
  revision: z.int(),
  age: z.int().describe("steps since the preconditioner's statistics"),
  damping: z.number().describe("λ"),
};

/** A new preconditioner; or, of a refresh beside the steps, that it `failed` and the old one stays. */
export const RefreshEvent = z.union([
  z.strictObject({
    ...counters,
    layers: z.record(
      z.string(),
      z.strictObject({ batches: z.int(), diagnostics: LayerDiagnostics }),
    ),
  }),
  z.strictObject({ failed: z.string() }),
]).meta({ id: "RefreshEvent" });

export const StepEvent = z.strictObject({
  ...counters,
  inner_product: z.number().describe("Σ ⟨update, gradient⟩"),
  kl_clip_factor: z.number().optional(),
  kl,
  layers: z.record(z.string(), z.strictObject({ age: layerAge, inner_product: z.number(), kl })),
}).meta({ id: "StepEvent" });

/** The last event of a stream. */
export const DeletedEvent = z.strictObject({}).meta({ id: "DeletedEvent" });

/** `data` of each event, by its name. */
export const SESSION_EVENTS = {
  refresh: RefreshEvent,
  step: StepEvent,
  deleted: DeletedEvent,
} as const;

/** What is known of a layer, in the answer of a session. */
export const layerFacts = {
  kind: z.string(),
  batches: z.int(),
  age: layerAge,
  has_preconditioner: z.boolean(),
  drift: z.record(z.string(), z.number()).optional().describe(
    "by factor, of the averages as they are now: ‖offdiag(QᵀMQ)‖_F/‖M‖_F in the preconditioner's eigenbasis, with λ ‖MQ − QΛ‖_F/‖M‖_F; where there is none ‖M − M₀‖_F/‖M₀‖_F, known where refresh.drift is set",
  ),
  diagnostics: LayerDiagnostics.optional(),
};
