/**
 * `MatrixState` as the host reads it; the fields of state.wgsl in their order.
 *
 * @module
 */
const FIELDS = [
  "size",
  "shift",
  "exponent",
  "failed",
  "residual",
  "condition",
  "orthogonality",
  "sweeps",
  "smallest",
  "negative",
  "magnitude",
  "norm",
  "unsettled",
  "previous",
] as const;

/** Floats of a `MatrixState`, its padding included. */
export const STATE_WORDS = 16;

export type MatrixState = Readonly<Record<typeof FIELDS[number], number>>;

/** The states of a batch. */
export function statesOf(values: Float32Array): MatrixState[] {
  return Array.from({ length: values.length / STATE_WORDS }, (_, i) =>
    Object.fromEntries(
      FIELDS.map((field, at) => [field, values[i * STATE_WORDS + at]]),
    ) as MatrixState);
}
