/**
 * What can go wrong, in the words of the domain. Free to all layers; imports nothing.
 *
 * A {@linkcode CurvdError} knows its stable `code` and the facts a caller can act on. Only
 * `routes/problem.ts` knows which HTTP status a code becomes. Because work is done in a Worker,
 * an error must survive `postMessage`: {@linkcode packError} and {@linkcode unpackError} carry it.
 *
 * @module
 */

/** Stable names of failures; the last segment of a problem's `type` URI. */
export type ErrorCode =
  | "malformed-body" // the bytes are not a document
  | "unsupported-media-type"
  | "not-acceptable"
  | "body-too-large"
  | "invalid-request" // the document breaks the schema or a rule between its fields
  | "invalid-tensor" // shape, dtype, symmetry
  | "not-finite" // NaN or infinity, in what came or in what was computed
  | "not-positive-definite" // an inverse that does not exist at this damping
  | "not-converged" // a result that misses its error bound, also in float64
  | "overflow" // a value does not fit the dtype asked for
  | "unsupported" // a method, layer or option that is not offered together
  | "not-found"
  | "method-not-allowed"
  | "conflict"
  | "precondition-failed"
  | "queue-full"
  | "deadline-exceeded" // the client's own, Curvd-Timeout-Ms
  | "body-stalled" // nothing more of a body came
  | "misdirected"
  | "unauthorized"
  | "forbidden" // a key without the scope, a foreign web page
  | "aborted" // the client left
  | "too-large-to-fit" // memory
  | "device-lost"
  | "draining"
  | "not-ready" // a part that work needs does not answer
  | "store-full"
  | "store-damaged" // what was read is not what was written
  | "internal";

/** What a caller needs to mend the request; each appears in the problem document when present. */
export interface ErrorFacts {
  /** Layer at fault, by its name in the request. */
  layer?: string;
  /** Tensor at fault, by its field name (`A`, `inputs`). */
  tensor?: string;
  /** RFC 6901 pointer into the request document. */
  pointer?: string;
  /** The offending value: a number, a shape, a name. */
  value?: unknown;
  /** The bound it broke. */
  limit?: unknown;
  /** What would work. */
  suggestion?: string;
  /** Seconds after which a retry may succeed. */
  retryAfter?: number;
  /** Further facts (size, pivot, damping, first bad index …), flat. */
  [fact: string]: unknown;
}

/** A failure with a stable code; everything thrown on purpose is one. */
export class CurvdError extends Error {
  override readonly name: string = "CurvdError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly facts: ErrorFacts = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** The same failure with facts that only the caller knows, such as the layer. */
  with(facts: ErrorFacts): CurvdError {
    const { layer } = facts;
    const message = layer !== undefined && this.facts.layer === undefined
      ? `Layer "${layer}": ${this.message}`
      : this.message;
    return new CurvdError(this.code, message, { ...this.facts, ...facts }, {
      cause: this,
    });
  }
}

/** An error as plain data, for `postMessage`. */
export interface PackedError {
  code: ErrorCode;
  message: string;
  facts: ErrorFacts;
  stack?: string;
}

/** Turns any thrown value into data; what is not a {@linkcode CurvdError} becomes `internal`. */
export function packError(error: unknown): PackedError {
  if (error instanceof CurvdError) {
    return { code: error.code, message: error.message, facts: error.facts };
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { code: "internal", message, facts: {}, stack };
}

/** The error that {@linkcode packError} packed. */
export function unpackError(
  { code, message, facts, stack }: PackedError,
): CurvdError {
  const error = new CurvdError(code, message, facts);
  if (stack !== undefined) error.stack = stack;
  return error;
}
