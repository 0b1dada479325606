/**
 * Sessions: the documents of api.md, section 4.
 *
 * A session states its layers once; every later request names them and sends their tensors alone.
 *
 * @module
 */
import * as z from "zod";
import { Problem } from "./problem.ts";
import { Timing } from "./answer.ts";
import {
  batch,
  conv2d,
  conv2dSizes,
  dense,
  denseSizes,
  embedding,
  embeddingSizes,
  gradientFault,
  scaleAndShift,
} from "./layer_description.ts";
import {
  dampingRule,
  layersOf,
  METHODS,
  Output,
  pi,
  PLAIN_OUTPUT,
  symmetric,
  tensor,
} from "./schema.ts";
import { LayerDiagnostics, layerFacts } from "./session_diagnostics.ts";

/** The methods of sessions: those of stateless calls, and those that need gradients alone. */
export const SESSION_METHODS = [...METHODS, "shampoo", "soap"] as const;
export type SessionMethodName = typeof SESSION_METHODS[number];

/** A session's id: it stands in URLs and in file names. */
export const SessionId = z.string().regex(
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
  "An id has 1 to 128 letters, digits, dots, dashes or underscores, and begins with a letter or digit",
);

const optional = <S extends z.ZodRawShape>(shape: S) => z.object(shape).partial().shape;
export const SessionLayer = z.discriminatedUnion("kind", [
  z.strictObject({ ...dense, ...optional(denseSizes) }),
  z.strictObject({ ...conv2d, ...optional(conv2dSizes) }),
  z.strictObject({ ...embedding, ...optional(embeddingSizes) }),
  z.strictObject({ ...scaleAndShift }),
]);
export type SessionLayer = z.infer<typeof SessionLayer>;

const fraction = z.number().min(0).lt(1);
const lambda = z.number("Expected a finite number ≥ 0").nonnegative();

export const LevenbergMarquardtDamping = z.strictObject({
  rule: z.literal("levenberg_marquardt"),
  value: z.number().positive().describe("λ to begin with"),
  decay: z.number().gt(0).lt(1).default(0.95),
  every: z.int().min(1).default(5).describe("steps that one report stands for: ω = decay^every"),
}).meta({ id: "LevenbergMarquardtDamping" });

const damping = z.union([lambda, LevenbergMarquardtDamping], {
  error: 'Expected a number ≥ 0 or {"rule": "levenberg_marquardt", "value": λ}',
});

const schedule = {
  every: z.int().min(1).nullable().describe("steps between refreshes; null: on demand"),
  drift: z.number().positive().nullable().describe(
    "drift of a running average from its preconditioner that makes a refresh due: the share of it that its eigenbasis does not diagonalise; of inverses ‖X − X₀‖_F/‖X₀‖_F",
  ),
  mode: z.enum(["sync", "async"]),
};
const refresh = z.strictObject({
  every: schedule.every.default(100),
  drift: schedule.drift.default(null),
  mode: schedule.mode.default("sync"),
});

/** What PATCH can change. */
const changeable = {
  damping,
  decay: z.number().min(0).max(1),
  refresh: z.strictObject(schedule).partial().describe("what is left out stays as it is"),
  kl_clip: z.number().positive().nullable().describe("κ; then updates need learning_rate"),
};

const creation = z.strictObject({
  id: SessionId.optional(),
  method: z.enum(SESSION_METHODS).default("kfac"),
  layers: layersOf(SessionLayer),
  damping: damping.optional(),
  damping_rule: dampingRule.optional(),
  pi: pi.optional(),
  decay: changeable.decay.default(0.95),
  refresh: refresh.prefault({}),
  kl_clip: changeable.kl_clip.default(null),
  durability: z.enum(["step", "refresh"]).default("step"),
  idle_seconds: z.number().positive().nullable().default(null).describe(
    "a session untouched for so long is deleted; null: never",
  ),
  scalings: z.enum(["per_example", "batch_gradient"]).optional().describe(
    "what EKFAC's S is averaged of (default per_example); batch_gradient is EKFAC-ra",
  ),
  indefinite: z.enum(["floor", "abs_factors"]).optional(),
  floor: z.number().positive().optional(),
  mbf_blocks: z.enum(["per_neuron", "averaged"]).optional(),
  coarse_space: z.enum(["nicolaides", "spectral", "residual", "krylov_nicolaides", "tselepidis"])
    .optional(),
  rhs: z.enum(["residual", "gradient"]).optional(),
  tolerance: z.number().positive().optional(),
  max_iterations: z.int().min(1).optional(),
  root: z.int().min(1).max(64).optional().describe("p of Shampoo (default 4)"),
  beta1: fraction.optional().describe("of SOAP (default 0.95)"),
  beta2: fraction.optional().describe("of SOAP (default 0.95)"),
  ...batch,
});

export const SessionRequest = creation.superRefine((request, issues) => {
  const complain = (field: string, message: string) =>
    issues.addIssue({ code: "custom", path: [field], message });
  if (request.damping === undefined && request.method !== "soap") {
    complain("damping", "damping is needed (0 for none)");
  }
  for (const [field, methods] of Object.entries(METHODS_OF_PARAMETER)) {
    if ((request as Record<string, unknown>)[field] === undefined) continue;
    if (!methods.includes(request.method)) {
      complain(field, `${field} is a parameter of ${methods.join(", ")}, not of ${request.method}`);
    }
  }
}).meta({ id: "SessionRequest" });
export type SessionRequest = z.infer<typeof SessionRequest>;

/** Parameters that mean something in some methods alone. */
const METHODS_OF_PARAMETER: Readonly<Record<string, readonly SessionMethodName[]>> = {
  scalings: ["ekfac", "tekfac"],
  indefinite: ["deflation", "lanczos", "kfac_corrected"],
  floor: ["deflation", "lanczos", "kfac_corrected"],
  mbf_blocks: ["mbf"],
  coarse_space: ["kfac_two_level"],
  rhs: ["kfac_two_level"],
  tolerance: ["kpsvd", "deflation", "lanczos", "kfac_corrected"],
  max_iterations: ["kpsvd", "deflation", "lanczos", "kfac_corrected"],
  tkfac_locations: ["tkfac", "tekfac"],
  root: ["shampoo"],
  beta1: ["soap"],
  beta2: ["soap"],
};

export const SessionPatch = z.strictObject(changeable).partial().refine(
  (patch) => Object.keys(patch).length > 0,
  { error: "Expected one of damping, decay, refresh, kl_clip" },
).meta({ id: "SessionPatch" });
export type SessionPatch = z.infer<typeof SessionPatch>;

const { fisher, gradient_scale, backprops } = batch;
const batchWords = { fisher, gradient_scale, backprops };

const statistics = {
  kind: z.enum(["dense", "conv2d", "embedding", "scale_and_shift"]).optional().describe(
    "need not be said again; another than the session's is refused",
  ),
  inputs: tensor(["[n]", "[n, d_in]", "[n, s, d_in]", "[n, c, h, w]"], "as in stateless calls", {
    integer: "either",
  }).optional(),
  output_gradients: tensor(
    ["[n, d_out]", "[n, s, d_out]", "[n, c, h, w]", "[k, n, c, h, w]"],
    "as in stateless calls",
  ).optional(),
  mask: tensor(["[n, s]"], "0 where padded").optional(),
  A: symmetric("d_a", "a batch's factor of the inputs").optional(),
  A_diagonal: tensor(["[vocabulary]"], "a batch's factor of an embedding's ids").optional(),
  G: symmetric("d_out", "a batch's factor of the output gradients").optional(),
  samples: z.int().min(1).optional().describe("examples behind A and G, or behind the gradient"),
  ...batchWords,
};

const gradients = {
  gradient: tensor(
    ["[d_out, d_in]", "[d_out, c, kh, kw]", "[f]"],
    "mean gradient, in the layer's own layout",
  ).optional(),
  bias_gradient: tensor(["[d_out]"], "gradient of the bias").optional(),
};

const output = { output: Output.default(PLAIN_OUTPUT) };

/** One form: a batch, or a batch's factors. */
function statisticsFault(layer: Record<string, unknown>): string | undefined {
  const has = (field: string) => layer[field] !== undefined;
  const raw = ["inputs", "output_gradients"].filter(has);
  const factors = ["A", "A_diagonal", "G"].filter(has);
  if (raw.length > 0 && factors.length > 0) {
    return `More than one form of the statistics: ${[...raw, ...factors].join(", ")}`;
  }
  if (has("mask") && raw.length === 0) return "A mask belongs to inputs";
}

export const StatisticsRequest = z.strictObject({
  layers: layersOf(z.strictObject(statistics)),
  ...batchWords,
}).superRefine(({ layers }, issues) => {
  for (const [name, layer] of Object.entries(layers)) {
    const isEmpty = ["inputs", "output_gradients", "A", "A_diagonal", "G"]
      .every((field) => (layer as Record<string, unknown>)[field] === undefined);
    const message = isEmpty
      ? "Expected inputs and output_gradients, or A and G"
      : statisticsFault(layer);
    if (message) issues.addIssue({ code: "custom", path: ["layers", name], message });
  }
}).meta({ id: "StatisticsRequest" });
export type StatisticsRequest = z.infer<typeof StatisticsRequest>;

const answering = {
  learning_rate: z.number().positive().optional(),
  before_refresh: z.literal("identity").optional().describe(
    "answers the gradient itself where nothing was refreshed yet",
  ),
  ...output,
};

/** A gradient and its bias: whether both are due is the session's description to say. */
const gradientLayer = z.strictObject({ kind: statistics.kind, ...gradients });

export const SessionUpdatesRequest = z.strictObject({
  layers: layersOf(gradientLayer.required({ gradient: true })),
  ...answering,
}).meta({ id: "SessionUpdatesRequest" });
export type SessionUpdatesRequest = z.infer<typeof SessionUpdatesRequest>;

export const StepsRequest = z.strictObject({
  layers: layersOf(z.strictObject({ ...statistics, ...gradients })),
  step_size: z.literal("quadratic_model").optional(),
  l2: z.number().nonnegative().optional(),
  ...batchWords,
  ...answering,
}).superRefine(({ layers, step_size, l2 }, issues) => {
  const complain = (path: string[], message: string) =>
    issues.addIssue({ code: "custom", path, message });
  if (step_size === undefined && l2 !== undefined) {
    complain(["l2"], "l2 is a parameter of step_size");
  }
  for (const [name, layer] of Object.entries(layers)) {
    const message = statisticsFault(layer);
    if (message) complain(["layers", name], message);
    if (layer.gradient === undefined && layer.bias_gradient !== undefined) {
      complain(["layers", name, "gradient"], "bias_gradient is given without a gradient");
    }
  }
}).meta({ id: "StepsRequest" });
export type StepsRequest = z.infer<typeof StepsRequest>;

export const ReportRequest = z.strictObject({
  loss_before: z.number().describe("of the step's own batch, the penalty included"),
  loss_after: z.number().nullable().describe("of the same batch; null where it is not finite"),
  predicted_change: z.number().negative().describe("as `steps` answered it"),
}).meta({ id: "ReportRequest" });
export type ReportRequest = z.infer<typeof ReportRequest>;

/** `refresh` takes no parameters. */
export const RefreshRequest = z.strictObject({}).meta({ id: "RefreshRequest" });

const counters = {
  id: SessionId,
  version: z.int().describe("preconditioners so far"),
  revision: z.int().describe("answered state changes so far"),
};
const changed = {
  ...counters,
  durable_revision: z.int().optional().describe("what a crash would leave"),
  replayed: z.boolean().optional().describe("this key was answered before; nothing changed"),
  timing: Timing.optional(),
  warnings: z.array(z.string()).optional(),
};

/** Configuration and state of a session; what a method adds is listed by `GET /v1/methods`. */
export const SessionAnswer = z.looseObject({
  ...changed,
  method: z.enum(SESSION_METHODS),
  damping: z.number().describe("λ now"),
  steps: z.int().describe("answered so far"),
  age: z.int().describe("steps since the preconditioner's statistics"),
  refreshing: z.boolean().describe("whether a refresh is under way beside the steps"),
  stale: z.boolean().describe(
    "whether the next step refreshes whatever its count: λ was changed, or drift is bounded and not known",
  ),
  layers: z.record(z.string(), z.looseObject(layerFacts)),
}).meta({ id: "SessionAnswer" });

export const SessionsAnswer = z.strictObject({
  sessions: z.array(z.looseObject({ ...counters, method: z.enum(SESSION_METHODS) })),
}).meta({ id: "SessionsAnswer" });

export const ChangeAnswer = z.looseObject(changed).meta({ id: "ChangeAnswer" });

export const DeletedAnswer = z.strictObject({
  id: SessionId,
  deleted: z.literal(true),
  replayed: changed.replayed,
}).meta({ id: "DeletedAnswer" });

export const SessionUpdatesAnswer = z.looseObject({
  ...changed,
  age: z.int().describe("steps since the preconditioner's statistics"),
  layers: z.record(
    z.string(),
    z.looseObject({
      update: tensor(["[d_out, d_in]", "[d_out, c, kh, kw]", "[f]"], "in its gradient's layout"),
      bias_update: tensor(["[d_out]"], "of the bias").optional(),
      diagnostics: LayerDiagnostics.optional().describe("of a fresh preconditioner"),
    }),
  ),
  inner_product: z.number(),
  kl_clip_factor: z.number().optional(),
  alpha: z.number().optional(),
  mu: z.number().optional(),
  predicted_change: z.number().optional(),
  initialised: z.boolean().optional(),
}).meta({ id: "SessionUpdatesAnswer" });

/** `factors` and `preconditioner`: tensors by layer, their names the method's. */
export const SessionTensorsAnswer = z.looseObject({
  ...counters,
  layers: z.record(z.string(), z.looseObject({ error: Problem.optional() })),
}).meta({ id: "SessionTensorsAnswer" });

/** The rule that `bias` and the gradients agree, for a layer as the session describes it. */
export { gradientFault };
