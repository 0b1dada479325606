/**
 * The tensor fields of api.md, section 2: which leaves of a document are tensors.
 *
 * @module
 */

/** Every tensor field that a layer may have, in a request or in an answer. */
export const TENSOR_FIELDS: ReadonlySet<string> = new Set([
  "inputs",
  "output_gradients",
  "mask",
  "A",
  "G",
  "A_diagonal",
  "F",
  "M",
  "A_inv",
  "G_inv",
  "Q_A",
  "Q_G",
  "lambda_A",
  "lambda_G",
  "S",
  "A_terms",
  "G_terms",
  "gradient",
  "bias_gradient",
  "previous_update",
  "previous_bias_update",
  "update",
  "bias_update",
  "M_root",
  "singular_values",
]);

/** Every tensor field that an answer may carry: also a session's averages and what its preconditioner is made of. */
export const ANSWERED_TENSOR_FIELDS: ReadonlySet<string> = new Set([
  ...TENSOR_FIELDS,
  "K_A",
  "K_G",
  "s_A",
  "s_G",
  "F_inv",
  "M_inv",
  "bias_moments",
  "L",
  "R",
  "L_root",
  "R_root",
  "delta",
  "delta_phi",
  "delta_psi",
  "A_next",
  "G_next",
]);

/** Answered fields that are symmetric in their last two axes, so that an answer can pack them. */
export const SYMMETRIC_FIELDS: ReadonlySet<string> = new Set([
  "A",
  "G",
  "F",
  "A_inv",
  "G_inv",
  "M_root",
]);

/** Whether a layer's field holds integers: the ids of an embedding. */
export function isIntegerField(field: string, kind: unknown): boolean {
  return field === "inputs" && kind === "embedding";
}
