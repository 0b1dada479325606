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
  if (data instanceof Int32Array || isFiniteThroughout(data)) return -1;
  return data.findIndex((value) => !Number.isFinite(value));
}

/** `x − x` is 0 for finite x, else NaN, which sums keep: four of them, that the processor can overlap, and no branch. */
function isFiniteThroughout(x: Float32Array): boolean {
  const end = x.length - x.length % 4;
  let a = 0, b = 0, c = 0, e = 0;
  for (let i = 0; i < end; i += 4) {
    a += x[i] - x[i], b += x[i + 1] - x[i + 1], c += x[i + 2] - x[i + 2], e += x[i + 3] - x[i + 3];
  }
  for (let i = end; i < x.length; i++) a += x[i] - x[i];
  return a + b + c + e === 0;
}
