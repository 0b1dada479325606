/** Side of the squares copied at once: two of 32×32 stay in the first-level cache. */
const TILE = 32;

/** Copies the lower triangle onto the upper: what was computed once is symmetric to the bit. */
export function mirrorLower(x: Float32Array | Float64Array, d: number): void {
  forTilesBelowDiagonal(d, (i, j, jEnd) => {
    for (let t = j; t < jEnd; t++) x[t * d + i] = x[i * d + t];
  });
}

/** Calls for pieces of rows left of the diagonal, tile after tile. */
function forTilesBelowDiagonal(
  d: number,
  copy: (row: number, start: number, end: number) => void,
): void {
  for (let i0 = 0; i0 < d; i0 += TILE) {
    const iEnd = Math.min(i0 + TILE, d);
    for (let j0 = 0; j0 <= i0; j0 += TILE) {
      for (let i = i0; i < iEnd; i++) copy(i, j0, Math.min(j0 + TILE, i));
    }
  }
}
