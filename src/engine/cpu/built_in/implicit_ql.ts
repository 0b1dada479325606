/**
 * Eigenvalues and eigenvectors of a symmetric tridiagonal matrix by QL with implicit shifts.
 *
 *   T = Z diag(w) Zᵀ;   what is wanted is V = Q Z, so the rotations are applied to the columns of Q
 *
 * Source: Dubrulle, Martin, Wilkinson 1968 (EISPACK tql2).
 * Departs: the rotations need only T, so many sweeps are run first and noted, then applied to `Q` strip by strip: eight rows
 * of `Q` at a time, which stay in the first-level cache and pass from rotation to rotation in registers.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { NEGLIGIBLE } from "./tridiagonal.ts";

/** Sweeps QL may take for one eigenvalue; 2 is usual, EISPACK gives up at 30. */
const MAX_SWEEPS = 60;
/** Rows of `Q` rotated together: a cache line of float64. */
const STRIP = 8;
/** Rotations noted before they are applied, in multiples of d. */
const PENDING = 24;

/**
 * @param diagonal `[d]`, becomes the eigenvalues in no order.
 * @param offDiagonal `[d]`, entry i couples i−1 and i; destroyed.
 * @param transposedBasis `Qᵀ [d, d]`.
 * @returns strips of `V = Q Z`: strip s holds rows 8s…8s+7 of V, entry `[column, row within the strip]`.
 * @throws CurvdError `not-converged` with the eigenvalue's index.
 */
export function implicitQl(
  diagonal: Float64Array,
  offDiagonal: Float64Array,
  transposedBasis: Float64Array,
): Float64Array<ArrayBuffer>[] {
  const d = diagonal.length;
  const strips = toStrips(transposedBasis, d);
  const rotations = new Rotations(strips, d);
  const e = offDiagonal;
  e.copyWithin(0, 1); // now entry i couples i and i+1
  e[d - 1] = 0;
  for (let low = 0; low < d; low++) {
    for (let sweeps = 0;; sweeps++) {
      const high = firstNegligible(diagonal, e, low);
      if (high === low) break;
      if (sweeps === MAX_SWEEPS) {
        throw new CurvdError(
          "not-converged",
          `Eigenvalue ${low} of ${d} took over ${MAX_SWEEPS} QL sweeps`,
          {
            size: d,
            index: low,
          },
        );
      }
      sweep(diagonal, e, low, high, rotations);
    }
  }
  rotations.apply();
  return strips;
}

/** The first i ≥ low whose coupling to i+1 is below rounding of its neighbours, or nothing. */
function firstNegligible(diagonal: Float64Array, e: Float64Array, low: number): number {
  const d = diagonal.length;
  let i = low;
  for (; i < d - 1; i++) {
    const scale = Math.abs(diagonal[i]) + Math.abs(diagonal[i + 1]);
    if (Math.abs(e[i]) <= Math.max(Number.EPSILON * scale, NEGLIGIBLE)) break;
  }
  return i;
}

/** One implicit QL sweep with Wilkinson's shift over rows low…high; notes its rotations. */
function sweep(
  diagonal: Float64Array,
  e: Float64Array,
  low: number,
  high: number,
  rotations: Rotations,
): void {
  const theta = (diagonal[low + 1] - diagonal[low]) / (2 * e[low]);
  const root = Math.hypot(theta, 1);
  let g = diagonal[high] - diagonal[low] + e[low] / (theta + (theta < 0 ? -root : root));
  let sine = 1, cosine = 1, shift = 0;
  rotations.begin(high);
  for (let i = high - 1; i >= low; i--) {
    const f = sine * e[i];
    const b = cosine * e[i];
    const r = Math.sqrt(f * f + g * g); // eigh() scaled T to at most 1; Math.hypot is ten times slower
    e[i + 1] = r;
    if (r === 0) { // the chain broke: the rest starts afresh
      diagonal[i + 1] -= shift;
      e[high] = 0;
      rotations.end(i + 1);
      return;
    }
    sine = f / r;
    cosine = g / r;
    const next = diagonal[i + 1] - shift;
    const t = (diagonal[i] - next) * sine + 2 * cosine * b;
    shift = sine * t;
    diagonal[i + 1] = next + shift;
    g = cosine * t - b;
    rotations.push(cosine, sine);
  }
  diagonal[low] -= shift;
  e[low] = g;
  e[high] = 0;
  rotations.end(low);
}

/** Rotations of whole sweeps, noted first and applied later. */
class Rotations {
  readonly #strips: readonly Float64Array[];
  readonly #pairs: Float64Array;
  /** `[low, high, first pair]` of each sweep. */
  #sweeps: number[] = [];
  #count = 0;
  #high = 0;
  #first = 0;

  constructor(strips: readonly Float64Array[], d: number) {
    this.#strips = strips;
    this.#pairs = new Float64Array(2 * (PENDING + 1) * d);
  }

  begin(high: number): void {
    this.#high = high;
    this.#first = this.#count;
  }

  push(cosine: number, sine: number): void {
    this.#pairs[2 * this.#count] = cosine;
    this.#pairs[2 * this.#count++ + 1] = sine;
  }

  end(low: number): void {
    if (this.#count > this.#first) this.#sweeps.push(low, this.#high, this.#first);
    if (2 * this.#count > this.#pairs.length * PENDING / (PENDING + 1)) this.apply();
  }

  apply(): void {
    for (const strip of this.#strips) {
      for (let s = 0; s < this.#sweeps.length; s += 3) {
        rotate(strip, this.#pairs, this.#sweeps[s], this.#sweeps[s + 1], this.#sweeps[s + 2]);
      }
    }
    this.#sweeps = [];
    this.#count = 0;
  }
}

/** Columns high … low of a strip through one sweep; column i+1 is final once i has met it. */
function rotate(
  strip: Float64Array,
  pairs: Float64Array,
  low: number,
  high: number,
  first: number,
): void {
  let at = high * STRIP, pair = 2 * first;
  let x0 = strip[at], x1 = strip[at + 1], x2 = strip[at + 2], x3 = strip[at + 3];
  let x4 = strip[at + 4], x5 = strip[at + 5], x6 = strip[at + 6], x7 = strip[at + 7];
  for (let i = high - 1; i >= low; i--, at -= STRIP, pair += 2) {
    const c = pairs[pair], s = pairs[pair + 1];
    const y0 = strip[at - 8], y1 = strip[at - 7], y2 = strip[at - 6], y3 = strip[at - 5];
    strip[at] = s * y0 + c * x0, strip[at + 1] = s * y1 + c * x1;
    strip[at + 2] = s * y2 + c * x2, strip[at + 3] = s * y3 + c * x3;
    x0 = c * y0 - s * x0, x1 = c * y1 - s * x1, x2 = c * y2 - s * x2, x3 = c * y3 - s * x3;
    const y4 = strip[at - 4], y5 = strip[at - 3], y6 = strip[at - 2], y7 = strip[at - 1];
    strip[at + 4] = s * y4 + c * x4, strip[at + 5] = s * y5 + c * x5;
    strip[at + 6] = s * y6 + c * x6, strip[at + 7] = s * y7 + c * x7;
    x4 = c * y4 - s * x4, x5 = c * y5 - s * x5, x6 = c * y6 - s * x6, x7 = c * y7 - s * x7;
  }
  strip[at] = x0, strip[at + 1] = x1, strip[at + 2] = x2, strip[at + 3] = x3;
  strip[at + 4] = x4, strip[at + 5] = x5, strip[at + 6] = x6, strip[at + 7] = x7;
}

function toStrips(transposedBasis: Float64Array, d: number): Float64Array<ArrayBuffer>[] {
  const strips: Float64Array<ArrayBuffer>[] = [];
  for (let row = 0; row < d; row += STRIP) {
    const strip = new Float64Array(d * STRIP); // rows past the last stay zero
    const height = Math.min(STRIP, d - row);
    for (let column = 0; column < d; column++) {
      const from = column * d + row;
      for (let r = 0; r < height; r++) strip[column * STRIP + r] = transposedBasis[from + r];
    }
    strips.push(strip);
  }
  return strips;
}

/** `V [d, d]` row-major from its strips, its columns in the order asked for. */
export function fromStrips(
  strips: readonly Float64Array[],
  order: Uint32Array,
): Float64Array<ArrayBuffer> {
  const d = order.length;
  const v = new Float64Array(d * d);
  for (let row = 0; row < d; row++) {
    const strip = strips[Math.floor(row / STRIP)], r = row % STRIP;
    for (let column = 0; column < d; column++) {
      v[row * d + column] = strip[order[column] * STRIP + r];
    }
  }
  return v;
}
