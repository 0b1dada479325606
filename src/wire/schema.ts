/**
 * The building blocks of every request's schema: tensors, layers, parameters that several calls share.
 *
 * Schemas see shapes, never values: a tensor is one leaf with at most one issue, so that a wrong
 * million-element array costs no more than a wrong number.
 *
 * @module
 */
import * as z from "zod";
import { isTensor, type WireTensor } from "./tensor.ts";

/** Most layers of one request. */
export const MAX_LAYERS = 4096;
/** Most characters of a layer's name. */
export const MAX_LAYER_NAME = 256;
/** Most values of a λ sweep. */
export const MAX_DAMPINGS = 1024;

/** A tensor going in and coming out, so that a request can be typed by its schema. */
export type TensorSchema = z.ZodType<WireTensor, WireTensor>;

/** What a tensor's schema was made with. */
export interface TensorFacts {
  readonly shapes: readonly string[];
  readonly isInteger: boolean;
}

const FACTS = new WeakMap<z.ZodType, TensorFacts>();

/** The facts of a tensor's schema; undefined for any other. */
export function tensorFacts(schema: z.ZodType): TensorFacts | undefined {
  return FACTS.get(schema);
}

/**
 * A tensor of one of the given shapes; only the rank is checked here.
 *
 * @param shapes such as `["[n, d_in]", "[n, s, d_in]"]`.
 * @param meaning for the reference.
 * @param integer whether it holds integers (ids) instead of floats; `either` where the layer's kind says so later.
 */
export function tensor(
  shapes: readonly string[],
  meaning: string,
  { integer = false }: { integer?: boolean | "either" } = {},
): TensorSchema {
  const expected = shapes.join(" or ");
  const ranks = shapes.map((shape) => shape.split(",").length);

  const schema = z.custom<WireTensor>((leaf) => faultOf(leaf) === undefined, {
    error: ({ input }) => faultOf(input),
    params: { isLeaf: true }, // a rule between fields can point at a tensor too
  }).meta({ $ref: "#/components/schemas/Tensor", description: `${expected}: ${meaning}` });
  FACTS.set(schema, { shapes, isInteger: integer === true });
  return schema;

  function faultOf(leaf: unknown): string | undefined {
    if (!isTensor(leaf)) return `Expected a tensor ${expected}`;
    const { shape, data, dtype } = leaf;
    if (!ranks.includes(shape.length)) {
      return `Expected shape ${expected}, got [${shape.join(", ")}]`;
    }
    if (shape.includes(0)) return `Expected at least one value, got shape [${shape.join(", ")}]`;
    if (integer !== "either" && integer !== data instanceof Int32Array) {
      return `Expected ${integer ? "I32, I64 or U32" : "F64, F32, F16 or BF16"}, got ${dtype}`;
    }
  }
}

/** A symmetric matrix, full, packed, or one a group of a grouped convolution. */
export function symmetric(side: string, meaning: string): TensorSchema {
  return tensor(
    [`[${side}, ${side}]`, `[${side}(${side}+1)/2]`, `[groups, ${side}, ${side}]`],
    meaning,
  );
}

/** `layers`: from 1 to {@linkcode MAX_LAYERS} of them, by name. */
export function layersOf<L extends z.ZodType>(layer: L) {
  const name = z.string().min(1, "A layer needs a name").max(MAX_LAYER_NAME)
    .refine((name) => name.isWellFormed(), { error: "A name is text that UTF-8 can hold" });
  return z.record(name, layer).refine((layers) => Object.keys(layers).length > 0, {
    error: "Expected at least one layer",
  }).refine((layers) => Object.keys(layers).length <= MAX_LAYERS, {
    error: `Expected at most ${MAX_LAYERS} layers`,
  });
}

/** How an answer is to be written. */
export const Output = z.strictObject({
  dtype: z.enum(["F32", "F16", "BF16"]).default("F32"),
  symmetric: z.enum(["full", "packed"]).default("full"),
}).meta({ id: "Output", description: "How the answer's tensors are written" });
export type Output = z.infer<typeof Output>;

/** The default {@linkcode Output}. */
export const PLAIN_OUTPUT: Output = { dtype: "F32", symmetric: "full" };

/** Parameters of every stateless call. */
export const answering = {
  output: Output.default(PLAIN_OUTPUT),
  on_error: z.enum(["fail", "skip"]).default("fail").describe(
    "skip: a layer that fails answers an `error`, the others their results",
  ),
  verify: z.enum(["estimate", "full"]).default("estimate").describe(
    "full: residuals and orthogonality are computed exactly, not estimated",
  ),
};

const DAMPING_FAULT = `Expected a finite number ≥ 0, or a list of 1 to ${MAX_DAMPINGS} of them`;
const lambda = z.number(DAMPING_FAULT).nonnegative(DAMPING_FAULT);

/** λ, or several for a sweep. */
export const damping = z.union([
  lambda,
  z.array(lambda, DAMPING_FAULT).min(1, DAMPING_FAULT).max(MAX_DAMPINGS, DAMPING_FAULT),
], DAMPING_FAULT).describe("λ ≥ 0, in the units of the matrix damped; a list for a sweep");

export const pi = z.enum(["trace", "frobenius", "spectral", "off"]).describe(
  "How the damping is split between A and G",
);

export const dampingRule = z.enum(["factored", "plain", "exact"]).describe(
  "factored: √λ·π on A and √λ/π on G; plain: λ on each; exact: λ on the Kronecker product",
);

/** The methods of stateless calls; what each means is said by `GET /v1/methods`. */
export const METHODS = [
  "kfac",
  "ekfac",
  "kpsvd",
  "deflation",
  "lanczos",
  "kfac_corrected",
  "tkfac",
  "tekfac",
  "kfac_tridiagonal",
  "kfac_two_level",
  "mbf",
  "foof",
] as const;
export type MethodName = typeof METHODS[number];

/** The methods whose curvature is a sum of Kronecker terms. */
export const TERM_METHODS = ["kpsvd", "deflation", "lanczos", "kfac_corrected", "tkfac"] as const;
export type TermMethodName = typeof TERM_METHODS[number];
