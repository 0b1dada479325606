/**
 * The search for NaN and infinity.
 *
 * Whole tensors are searched, so it runs where the tensors are used (the compute Worker's ingest),
 * never on the HTTP thread.
 *
 * @module
 */

/**
 * Finds the first value that is NaN or infinite. Integers are always finite.
 *
 * @returns its flat index, or -1 where all are finite.
 */
export function firstNonFinite(data: Float32Array | Int32Array): number {
  if (data instanceof Int32Array) return -1;
  for (let i = 0; i < data.length; i++) {
    // x - x is 0 for finite x, else NaN: one subtraction, no branch on the sign
    if (data[i] - data[i] !== 0) return i;
  }
  return -1;
}
