/**
 * Rows taken at once. Their pieces of a column are written, or read, side by side: half a line of the cache. More rows than a
 * cache has ways would drive each other out where the side is a power of two (1024: 3.2 ms in squares of 32, 0.3 like this).
 */
const BAND = 8;

type Values = Float32Array | Float64Array;

/** Copies the lower triangle onto the upper: what was computed once is symmetric to the bit. */
export function mirrorLower(x: Values, d: number): void {
  const whole = d - d % BAND;
  for (let i = 0; i < whole; i += BAND) mirrorBand(x, d, i);
  for (let i = 0; i < d; i++) {
    for (let j = i < whole ? i - i % BAND : 0; j < i; j++) x[j * d + i] = x[i * d + j];
  }
}

/** The band of rows from `i` on, as far as it stands left of its square on the diagonal. */
function mirrorBand(x: Values, d: number, i: number): void {
  const r0 = i * d, r1 = r0 + d, r2 = r1 + d, r3 = r2 + d;
  const r4 = r3 + d, r5 = r4 + d, r6 = r5 + d, r7 = r6 + d;
  for (let j = 0, to = i; j < i; j++, to += d) {
    x[to] = x[r0 + j];
    x[to + 1] = x[r1 + j];
    x[to + 2] = x[r2 + j];
    x[to + 3] = x[r3 + j];
    x[to + 4] = x[r4 + j];
    x[to + 5] = x[r5 + j];
    x[to + 6] = x[r6 + j];
    x[to + 7] = x[r7 + j];
  }
}

/** Whether a matrix equals its transpose to the bit. */
export function isMirrored(x: Values, d: number): boolean {
  const whole = d - d % BAND;
  for (let i = 0; i < whole; i += BAND) if (!isBandMirrored(x, d, i)) return false;
  for (let i = 0; i < d; i++) {
    for (let j = i < whole ? i - i % BAND : 0; j < i; j++) {
      if (x[j * d + i] !== x[i * d + j]) return false;
    }
  }
  return true;
}

function isBandMirrored(x: Values, d: number, i: number): boolean {
  const r0 = i * d, r1 = r0 + d, r2 = r1 + d, r3 = r2 + d;
  const r4 = r3 + d, r5 = r4 + d, r6 = r5 + d, r7 = r6 + d;
  for (let j = 0, at = i; j < i; j++, at += d) {
    const isSame = x[at] === x[r0 + j] && x[at + 1] === x[r1 + j] && x[at + 2] === x[r2 + j] &&
      x[at + 3] === x[r3 + j] && x[at + 4] === x[r4 + j] && x[at + 5] === x[r5 + j] &&
      x[at + 6] === x[r6 + j] && x[at + 7] === x[r7 + j];
    if (!isSame) return false;
  }
  return true;
}
