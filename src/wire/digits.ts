/**
 * Float32 as decimals: the fewest digits that give the same float32 back.
 *
 * A float64 prints the digits of its own neighbourhood (0.1f as 0.10000000149011612). Here a float32
 * is exchanged for the float64 nearest to its shortest decimal, which `JSON.stringify` then prints
 * as that decimal (0.1), so that an array is written by the runtime's own formatter.
 *
 * @module
 */

/** 10⁰ … 10²²: the powers of ten that float64 holds exactly. */
const POWERS = Array.from({ length: 23 }, (_, k) => Number(`1e${k}`));
/** Nine significant digits tell any two float32 apart; below six few are worth a try of their own. */
const MOST_DIGITS = 9;
const FEWEST_DIGITS = 6;

/**
 * The float64 whose shortest decimal is the shortest that rounds to `value` as a float32.
 *
 * A decimal of k digits, N·10ᵉ, takes one division or product by an exact power of ten, which gives
 * the float64 nearest to it: the one that a reader of JSON will have before it rounds to float32.
 *
 * @param value a finite float32.
 */
export function shortestDecimal(value: number): number {
  const magnitude = Math.abs(value);
  if (Number.isInteger(value) && magnitude < 1e6) return value;
  const exponent = Math.floor(Math.log10(magnitude));
  const shift = MOST_DIGITS - 1 - exponent; // magnitude·10^shift has nine digits before its point
  if (shift < -22 || shift > 22) return shortestByPrinting(value);

  const scaled = shift < 0 ? magnitude / POWERS[-shift] : magnitude * POWERS[shift];
  for (let digits = FEWEST_DIGITS; digits < MOST_DIGITS; digits++) {
    const cut = POWERS[MOST_DIGITS - digits];
    const candidate = scale(Math.round(scaled / cut) * cut, shift);
    if (Math.fround(candidate) === magnitude) return Math.sign(value) * candidate;
  }
  return Math.sign(value) * scale(Math.round(scaled), shift);
}

/** `digits · 10^-shift`, rounded once. */
function scale(digits: number, shift: number): number {
  return shift < 0 ? digits * POWERS[-shift] : digits / POWERS[shift];
}

/** The plain way, for magnitudes whose power of ten is inexact. */
function shortestByPrinting(value: number): number {
  for (let digits = 1; digits < MOST_DIGITS; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === value) return candidate;
  }
  return Number(value.toPrecision(MOST_DIGITS));
}
