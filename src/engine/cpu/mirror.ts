import { BAND, turnBand, type Values } from "./turn.ts";

/** Copies the lower triangle onto the upper: what was computed once is symmetric to the bit. */
export function mirrorLower(x: Values, d: number): void {
  const whole = d - d % BAND;
  for (let i = 0; i < whole; i += BAND) {
    turnBand(x, x, { columns: i, start: i * d, stride: d }, i, d);
  }
  for (let i = 0; i < d; i++) {
    for (let j = i < whole ? i - i % BAND : 0; j < i; j++) x[j * d + i] = x[i * d + j];
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
