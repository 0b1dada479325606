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
  for (let i = 0; i < d; i++) {
    const row = rowStart(i, d) + i;
    full.set(packed.subarray(row, row + d - i), i * d + i);
  }
  const whole = d - d % BAND;
  for (let i = 0; i < whole; i += BAND) mirrorBand(full, packed, d, i);
  for (let i = 0; i < d; i++) {
    const below = i < whole ? i - i % BAND + BAND : d; // from there on the band has written
    for (let j = i + 1; j < below; j++) full[j * d + i] = full[i * d + j];
  }
  return full;
}

/** Rows mirrored at once: written one by one, columns of megabytes miss the cache at every value. */
const BAND = 8;

/** Mirrors the rows of the triangle from `i` on into as many columns, below their square on the diagonal. */
function mirrorBand(full: Float32Array, packed: Float32Array, d: number, i: number): void {
  const r0 = rowStart(i, d), r1 = rowStart(i + 1, d), r2 = rowStart(i + 2, d);
  const r3 = rowStart(i + 3, d), r4 = rowStart(i + 4, d), r5 = rowStart(i + 5, d);
  const r6 = rowStart(i + 6, d), r7 = rowStart(i + 7, d);
  for (let j = i + BAND, to = j * d + i; j < d; j++, to += d) {
    full[to] = packed[r0 + j];
    full[to + 1] = packed[r1 + j];
    full[to + 2] = packed[r2 + j];
    full[to + 3] = packed[r3 + j];
    full[to + 4] = packed[r4 + j];
    full[to + 5] = packed[r5 + j];
    full[to + 6] = packed[r6 + j];
    full[to + 7] = packed[r7 + j];
  }
}

/** Where the value of row `i` and column 0 would stand, had the triangle the columns before the diagonal. */
function rowStart(i: number, d: number): number {
  return i * d - packedLength(i);
}
