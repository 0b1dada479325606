/**
 * A document against its schema: what is wrong, in words a caller can act on.
 *
 * @module
 */
import type * as z from "zod";
import { CurvdError, type ErrorFacts } from "@/errors.ts";
import { pointerTo } from "./document.ts";
import { TENSOR_FIELDS } from "./fields.ts";
import { isTensor } from "./tensor.ts";
import { namesOf, nearest } from "./vocabulary.ts";

/** Most faults that an error lists. */
const MAX_LISTED = 20;

/**
 * Checks a document and fills in its defaults.
 *
 * @throws CurvdError `invalid-tensor` where the first fault is a tensor's, else `invalid-request`;
 * with `pointer`, and as far as they exist `layer`, `tensor`, `value`, `limit` (what is offered),
 * `suggestion`, and all faults in `errors`.
 */
export function validate<S extends z.ZodType>(schema: S, document: unknown): z.infer<S> {
  const result = schema.safeParse(document);
  if (result.success) return result.data;

  const faults = result.error.issues.flatMap((issue) => faultsOf(issue, schema, document));
  const [{ code, message, facts }] = faults;
  const errors = faults.slice(0, MAX_LISTED).map(({ message, facts }) => ({
    pointer: facts.pointer ?? "",
    detail: message,
  }));
  throw new CurvdError(code, message, faults.length > 1 ? { ...facts, errors } : facts);
}

interface Fault {
  code: "invalid-request" | "invalid-tensor";
  message: string;
  facts: ErrorFacts;
}

/** The faults of an issue: one, or one an unknown field. */
function faultsOf(issue: z.core.$ZodIssue, schema: z.ZodType, document: unknown): Fault[] {
  const path = issue.path.map(String);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => unknownField(key, path, namesOf(schema)));
  }
  const found = valueAt(document, path);
  const isLeaf = issue.code === "custom" && issue.params?.isLeaf === true;
  const isAbsent = found === undefined && (issue.code !== "custom" || isLeaf);
  const offered = offeredBy(issue);

  const facts: ErrorFacts = { pointer: pointerTo(...path), ...placeOf(path) };
  if (isTensor(found)) facts.value = found.shape;
  else if (found !== undefined && typeof found !== "object") facts.value = found;
  if (offered) facts.limit = offered;
  else if ("minimum" in issue) facts.limit = issue.minimum;
  else if ("maximum" in issue) facts.limit = issue.maximum;

  const expected = offered ? `: expected ${listed(offered)}` : "";
  const message = isAbsent
    ? `${path.at(-1) ?? "The document"} is missing${expected}`
    : offered
    ? `${printed(found)} is not offered${expected}`
    : issue.message;
  const code = isLeaf && !isAbsent ? "invalid-tensor" : "invalid-request";
  return [{ code, message: located(message, path), facts }];
}

function unknownField(key: string, path: string[], known: ReadonlySet<string>): Fault {
  const at = [...path, key];
  const facts: ErrorFacts = { pointer: pointerTo(...at), ...placeOf(at), value: key };
  const hint = known.has(key) ? undefined : nearest(key, known);
  if (hint !== undefined) facts.suggestion = `did you mean "${hint}"?`;
  if (known.has(key)) facts.suggestion = `"${key}" is known, but not in this place`;
  const ending = facts.suggestion === undefined ? "" : `; ${facts.suggestion}`;
  return {
    code: "invalid-request",
    message: `Unknown field "${key}"${path.length > 0 ? ` at ${pointerTo(...path)}` : ""}${ending}`,
    facts,
  };
}

/** The values that would have been taken, where they are a list. */
function offeredBy(issue: z.core.$ZodIssue): readonly unknown[] | undefined {
  if (issue.code === "invalid_value") return issue.values;
  // zod lists a discriminated union's options under this name, untyped
  if (issue.code === "invalid_union" && "options" in issue) return issue.options as unknown[];
}

function placeOf([root, layer, field]: readonly string[]): { layer?: string; tensor?: string } {
  if (root !== "layers" || layer === undefined) return {};
  return field !== undefined && TENSOR_FIELDS.has(field) ? { layer, tensor: field } : { layer };
}

function located(message: string, path: string[]): string {
  const place = path[0] === "layers" && path.length > 1
    ? `Layer "${path[1]}"${path.length > 2 ? `, ${path.slice(2).join(".")}` : ""}`
    : path.join(".");
  return place === "" ? message : `${place}: ${message}`;
}

function valueAt(document: unknown, path: string[]): unknown {
  return path.reduce<unknown>((inner, step) => {
    const isHolder = typeof inner === "object" && inner !== null && Object.hasOwn(inner, step);
    return isHolder ? (inner as Record<string, unknown>)[step] : undefined;
  }, document);
}

function listed(values: readonly unknown[]): string {
  return values.map((value) => JSON.stringify(value)).join(" or ");
}

function printed(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 60) ?? "undefined";
}
