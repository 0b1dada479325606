/**
 * The forms in which a layer of `POST /v1/updates` states its curvature, and how they are told apart.
 *
 * @module
 */
import { type MethodName, TERM_METHODS } from "./schema.ts";

/** Statistics, factors, inverses, an eigenbasis with eigenvalues or with EKFAC's S, Kronecker terms. */
export const UPDATE_FORMS = {
  statistics: ["inputs", "output_gradients"],
  factors: ["A", "G"],
  inverses: ["A_inv", "G_inv"],
  eigenbasis: ["Q_A", "Q_G", "lambda_A", "lambda_G"],
  scalings: ["Q_A", "Q_G", "S"],
  terms: ["A_terms", "G_terms"],
  block: ["F"],
} as const;
export type UpdateForm = keyof typeof UPDATE_FORMS;

/** The methods that a form can be of; the first is the default. Absent: any. */
export const METHODS_OF_FORM: Partial<Record<UpdateForm, readonly MethodName[]>> = {
  factors: ["kfac", "foof"],
  inverses: ["kfac"],
  eigenbasis: ["kfac"],
  scalings: ["ekfac", "tekfac"],
  terms: TERM_METHODS,
};

const CURVATURE_FIELDS = [...new Set(Object.values(UPDATE_FORMS).flat())];

/** The one form that a layer has, or what is wrong with it. */
export type FormReading = { form: UpdateForm } | { fault: string; field?: string };

/**
 * Tells the form of a layer from the fields it has.
 *
 * A form is whole or it is a fault; `foof` needs the input side alone; an embedding has `A_diagonal`
 * for `A`.
 */
export function readForm(layer: object, method: MethodName | undefined): FormReading {
  const has = (field: string): boolean =>
    (layer as Record<string, unknown>)[field] !== undefined ||
    (field === "A" && has("A_diagonal"));
  const given = CURVATURE_FIELDS.filter(has);
  if (method === "foof" && given.length === 1) {
    if (given[0] === "inputs") return { form: "statistics" };
    if (given[0] === "A") return { form: "factors" };
  }

  const forms = Object.keys(UPDATE_FORMS) as UpdateForm[];
  const fields = (form: UpdateForm): readonly string[] => UPDATE_FORMS[form];
  const exact = forms.find((form) =>
    fields(form).length === given.length && fields(form).every(has)
  );
  if (exact !== undefined) return { form: exact };

  const offered = forms.map((form) => `(${fields(form).join(", ")})`).join(", ");
  const touched = forms.find((form) => given.every((field) => fields(form).includes(field)));
  if (given.length === 0) return { fault: `Expected one form of the curvature: ${offered}` };
  if (touched === undefined) {
    return { fault: `More than one form of the curvature: ${given.join(", ")} are given` };
  }
  const missing = fields(touched).filter((field) => !has(field));
  return {
    fault: `${missing.join(" and ")} missing beside ${given.join(", ")}`,
    field: missing[0],
  };
}

/** The form of a layer that its schema accepted. */
export function formOf(layer: object, method: MethodName | undefined): UpdateForm {
  const reading = readForm(layer, method);
  if ("fault" in reading) throw new TypeError(reading.fault);
  return reading.form;
}
