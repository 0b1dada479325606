/**
 * Random matrices with known trouble in them, the same in every run.
 *
 * @module
 */

/** Uniform numbers in [0, 1). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Independent standard normal numbers. */
export function gaussian(shape: number[], seed: number): Float32Array<ArrayBuffer> {
  const next = uniform(seed);
  const size = shape.reduce((product, side) => product * side, 1);
  return Float32Array.from(
    { length: size },
    () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  );
}

/** `XᵀX/n` of `n` Gaussian rows; rank-deficient for `n < d`. */
export function gramMatrix(d: number, seed: number, n = 2 * d): Float32Array<ArrayBuffer> {
  const x = gaussian([n, d], seed);
  const m = new Float32Array(d * d);
  for (let i = 0; i < d; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += x[k * d + i] * x[k * d + j];
      m[i * d + j] = m[j * d + i] = sum / n;
    }
  }
  return m;
}

/** A pair of matrices, by rows `[2, d, k]` and by columns `[2, k, d]`. */
interface BothWays {
  readonly rows: Float32Array<ArrayBuffer>;
  readonly columns: Float32Array<ArrayBuffer>;
}

/** X, Gaussian, and `Y = X diag(w)` with weights of both signs: two of each, whose `X Yᵀ` are symmetric. */
export function symmetricFactors(d: number, k: number): { x: BothWays; y: BothWays } {
  const rows = gaussian([2, d, k], d + k), w = gaussian([k], k);
  const weighted = rows.map((value, at) => value * w[at % k]);
  const bothWays = (values: Float32Array<ArrayBuffer>): BothWays => {
    const columns = values.slice();
    for (let i = 0; i < 2 * d; i++) {
      const matrix = Math.floor(i / d) * d * k;
      for (let j = 0; j < k; j++) columns[matrix + j * d + i % d] = values[i * k + j];
    }
    return { rows: values, columns };
  };
  return { x: bothWays(rows), y: bothWays(weighted) };
}

/** `Q diag(values) Qᵀ` with a Q that fills the matrix: a few Householder reflections. */
export function withSpectrum(values: ArrayLike<number>, seed: number): Float32Array<ArrayBuffer> {
  const d = values.length;
  const m = new Float64Array(d * d);
  for (let i = 0; i < d; i++) m[i * (d + 1)] = values[i];
  for (let reflection = 0; reflection < 3 && d > 1; reflection++) {
    const v = Float64Array.from(gaussian([d], seed + 7919 * reflection));
    const length = Math.hypot(...v);
    reflect(m, v.map((value) => value / length), d);
  }
  const result = new Float32Array(d * d);
  for (let i = 0; i < d; i++) {
    for (let j = 0; j <= i; j++) result[i * d + j] = result[j * d + i] = m[i * d + j];
  }
  return result;
}

/** `M ← (I − 2vvᵀ) M (I − 2vvᵀ)`, a rank-two update. */
function reflect(m: Float64Array, v: Float64Array, d: number): void {
  const mv = new Float64Array(d);
  let vmv = 0;
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < d; j++) mv[i] += m[i * d + j] * v[j];
    vmv += v[i] * mv[i];
  }
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < d; j++) {
      m[i * d + j] += -2 * v[i] * mv[j] - 2 * mv[i] * v[j] + 4 * vmv * v[i] * v[j];
    }
  }
}

/** `d` numbers from `largest` down to `largest·10^(−decades)`, evenly spaced in the logarithm. */
export function logSpaced(d: number, decades: number, largest = 1): Float64Array {
  return Float64Array.from(
    { length: d },
    (_, i) => largest * 10 ** (-decades * i / Math.max(1, d - 1)),
  );
}
