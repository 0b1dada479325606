/** `POST /v1/updates`: preconditioned gradients, from any form of the curvature. @module */
import * as z from "zod";
import { answered, diagnosed, scaled } from "./answer.ts";
import {
  backpropsFault,
  batch,
  conv2d,
  dense,
  embedding,
  gradientFault,
  scaleAndShift,
  settleBatch,
  statistics,
} from "./layer_description.ts";
import {
  answering,
  damping,
  dampingRule,
  layersOf,
  METHODS,
  pi,
  symmetric,
  tensor,
} from "./schema.ts";
import { METHODS_OF_FORM, readForm, UPDATE_FORMS } from "./update_forms.ts";

const curvature = {
  A: symmetric("d_a", "factor of the inputs").optional(),
  G: symmetric("d_out", "factor of the output gradients").optional(),
  A_inv: symmetric("d_a", "damped inverse of A").optional(),
  G_inv: symmetric("d_out", "damped inverse of G").optional(),
  Q_A: tensor(["[d_a, d_a]", "[groups, d_a, d_a]"], "eigenvectors of A").optional(),
  Q_G: tensor(["[d_out, d_out]", "[groups, d_out, d_out]"], "eigenvectors of G").optional(),
  lambda_A: tensor(["[d_a]", "[groups, d_a]"], "eigenvalues of A").optional(),
  lambda_G: tensor(["[d_out]", "[groups, d_out]"], "eigenvalues of G").optional(),
  S: tensor(["[d_out, d_a]", "[groups, d_out, d_a]"], "EKFAC's second moments").optional(),
  A_terms: tensor(["[r, d_a, d_a]", "[groups, r, d_a, d_a]"], "right factors").optional(),
  G_terms: tensor(["[r, d_out, d_out]", "[groups, r, d_out, d_out]"], "left factors").optional(),
};

const biasGradients = {
  bias_gradient: tensor(["[d_out]"], "gradient of the bias").optional(),
  previous_bias_update: tensor(["[d_out]"], "δ₀ of the bias").optional(),
};

function gradients(shape: string) {
  return {
    gradient: tensor([shape], "mean gradient, in the layer's own layout"),
    previous_update: tensor([shape], "δ₀, for step_size").optional(),
  };
}

const layer = z.discriminatedUnion("kind", [
  z.strictObject({
    ...dense,
    ...batch,
    ...gradients("[d_out, d_in]"),
    ...biasGradients,
    ...statistics.dense,
    ...curvature,
  }),
  z.strictObject({
    ...conv2d,
    ...batch,
    ...gradients("[d_out, c, kh, kw]"),
    ...biasGradients,
    ...statistics.conv2d,
    ...curvature,
  }),
  z.strictObject({
    ...embedding,
    ...batch,
    ...gradients("[vocabulary, d_out]"),
    ...statistics.embedding,
    A_diagonal: tensor(["[vocabulary]"], "factor of the ids").optional(),
    G: curvature.G,
    A_inv: tensor(["[vocabulary]"], "damped inverse of A_diagonal").optional(),
    G_inv: curvature.G_inv,
  }),
  z.strictObject({
    ...scaleAndShift,
    ...batch,
    ...gradients("[f]"),
    ...biasGradients,
    ...statistics.scaleAndShift,
    F: tensor(["[2f]", "[2f, 2f]", "[2f(2f+1)/2]"], "the block of scale and shift").optional(),
  }),
]);

const request = z.strictObject({
  layers: layersOf(layer),
  method: z.enum(METHODS).optional().describe("default kfac; only where the form leaves a choice"),
  damping: damping.optional(),
  damping_rule: dampingRule.optional().describe("the default is the method's"),
  pi: pi.default("trace"),
  power: z.number().min(-8).max(8).default(-1),
  kl_clip: z.number().positive().nullish().describe("κ; needs learning_rate"),
  learning_rate: z.number().positive().optional(),
  damped_terms: z.enum(["first", "all"]).optional(),
  indefinite: z.enum(["floor", "abs_factors"]).optional(),
  floor: z.number().positive().optional(),
  mbf_blocks: z.enum(["per_neuron", "averaged"]).optional(),
  coarse_space: z.enum(["nicolaides", "spectral", "residual", "krylov_nicolaides", "tselepidis"])
    .optional(),
  rhs: z.enum(["residual", "gradient"]).optional(),
  step_size: z.literal("quadratic_model").optional(),
  l2: z.number().nonnegative().optional(),
  ...batch,
  ...answering,
});

type Request = z.infer<typeof request>;
type Complain = (path: string[], message: string) => void;

export const UpdatesRequest = request.superRefine((request, issues) => {
  const complain: Complain = (path, message) => issues.addIssue({ code: "custom", path, message });
  checkParameters(request, complain);
  for (const [name, layer] of Object.entries(request.layers)) {
    checkLayer(request, layer, (path, message) => complain(["layers", name, ...path], message));
  }
}).transform(settleBatch).meta({ id: "UpdatesRequest" });
export type UpdatesRequest = z.infer<typeof UpdatesRequest>;

/** The rules between parameters that need no registry of methods. */
function checkParameters(request: Request, complain: Complain): void {
  if (request.kl_clip != null && request.learning_rate === undefined) {
    complain(["learning_rate"], "kl_clip needs the learning_rate");
  }
  if (request.step_size !== undefined && Array.isArray(request.damping)) {
    complain(["damping"], "step_size takes one damping, not a list");
  }
  if (request.step_size === undefined && request.l2 !== undefined) {
    complain(["l2"], "l2 is a parameter of step_size");
  }
}

/** The rules within a layer, and between it and the method: one form, its method, its damping. */
function checkLayer(request: Request, layer: Request["layers"][string], complain: Complain): void {
  const { method, damping } = request;
  const gradient = gradientFault(layer);
  if (gradient !== undefined) complain([gradient.field], gradient.message);
  const backprops = backpropsFault(layer, request);
  if (backprops !== undefined) complain(["backprops"], backprops);

  const reading = readForm(layer, method);
  if ("fault" in reading) {
    return complain(reading.field === undefined ? [] : [reading.field], reading.fault);
  }
  const { form } = reading;
  const methods = METHODS_OF_FORM[form];
  if (method !== undefined && methods !== undefined && !methods.includes(method)) {
    const fields = UPDATE_FORMS[form].join(", ");
    complain(
      [],
      `method ${method} does not start from ${fields}: offered are ${methods.join(", ")}`,
    );
  }
  if (form === "inverses" && damping !== undefined) {
    complain([], "A_inv, G_inv are damped already, so no damping can be given");
  }
  if (form !== "inverses" && damping === undefined) {
    complain([], "damping is needed (0 for none)");
  }
}

const perDamping = z.union([z.number(), z.array(z.number())]);

export const UpdatesAnswer = answered("UpdatesAnswer", {
  update: tensor(
    ["[d_out, d_in]", "[m, d_out, d_in]", "[d_out, c, kh, kw]", "[m, d_out, c, kh, kw]", "[f]"],
    "the preconditioned gradient, in its gradient's layout; a leading axis m for a list of dampings",
  ).optional(),
  bias_update: tensor(["[d_out]", "[m, d_out]"], "of the bias").optional(),
  pi: perDamping.optional().describe("π as used"),
  samples: z.int().optional().describe("examples n"),
  ...scaled,
  ...diagnosed,
}, {
  inner_product: perDamping.optional().describe("Σ⟨update, gradient⟩ over all layers"),
  kl_clip_factor: perDamping.optional().describe("already applied"),
  update_norm: perDamping.optional().describe("of the whole update; for a list of dampings"),
  quadratic_decrease: perDamping.optional().describe("⟨g,u⟩ − ½⟨u,F̂u⟩, F̂ undamped"),
  alpha: z.number().optional(),
  mu: z.number().optional(),
  predicted_change: z.number().optional(),
});
