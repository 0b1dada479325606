/**
 * Packed symmetric matrices: the upper triangle, row-major, as `numpy.triu_indices` lists it.
 *
 *   [[a, b, c], [b, d, e], [c, e, f]]  ↔  [a, b, c, d, e, f],   d(d+1)/2 values
 *
 * @module
 */

/** Number of values of a packed `[d, d]`. */
export function packedLength(d: number): number {
  return d * (d + 1) / 2;
}

/** The d of a packed triangle of `length` values, or undefined where no triangle has that many. */
export function packedSide(length: number): number | undefined {
  const d = Math.floor((Math.sqrt(8 * length + 1) - 1) / 2);
  return length > 0 && packedLength(d) === length ? d : undefined;
}

/**
 * Packs the upper triangles of a batch of square matrices.
 *
 * @param data `[b, d, d]`, row-major.
 * @returns `[b, d(d+1)/2]`, a new array.
 */
export function packSymmetric(data: Float32Array, d: number): Float32Array<ArrayBuffer> {
  const batch = data.length / (d * d);
  const packed = new Float32Array(batch * packedLength(d));
  let to = 0;
  for (let row = 0; row < batch * d; row++) {
    const i = row % d;
    packed.set(data.subarray(row * d + i, (row + 1) * d), to);
    to += d - i;
  }
  return packed;
}

/**
 * Unpacks one triangle; the lower half mirrors the upper to the bit.
 *
 * @param packed `[d(d+1)/2]`.
 * @returns `[d, d]`, a new array.
 */
export function unpackSymmetric(packed: Float32Array, d: number): Float32Array<ArrayBuffer> {
  const full = new Float32Array(d * d);
  let from = 0;
  for (let i = 0; i < d; i++) {
    full.set(packed.subarray(from, from + d - i), i * d + i);
    for (let j = i + 1; j < d; j++) full[j * d + i] = packed[from + j - i];
    from += d - i;
  }
  return full;
}
