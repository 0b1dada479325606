/**
 * The estimates of probes.ts by float32 products: all probes go through a matrix in one product.
 *
 * Probes are rows here, `Z [4, d]`: `Z M` is `M z` of each, transposed. Products are float32 like the result they judge; the
 * squares of a residual are summed in float64.
 *
 * @module
 */
import type { Float32Products } from "@/engine/host.ts";
import { PROBES, sign } from "./probes.ts";

type Values = Float32Array<ArrayBuffer>;

/** Whoever multiplies in float32; a BLAS does. */
export interface Products {
  readonly gemm: Float32Products["matMul"];
}

export interface Judgement {
  readonly residual: number;
  /** Estimate from below, by two power steps on the matrix and on its inverse. */
  readonly condition: number;
}

/** `M + shift·I`, without forming it. */
export interface Shifted {
  /** `M [d, d]`, symmetric. */
  readonly matrix: Values;
  readonly shift: number;
  readonly d: number;
}

/** `‖XᵖM' − I‖_F/√d` of `X = M'^(−1/p)`, `M' = M + shift·I`. */
export function judgeInverse(products: Products, m: Shifted, inverse: Values, root = 1): Judgement {
  const { d } = m;
  const z = probes(d);
  const once = times(products, z, inverse, d);
  let solved = once;
  for (let i = 1; i < root; i++) solved = times(products, solved, inverse, d);
  const { first: restored, second: grown, start } = applyShifted(products, m, solved);
  const again = times(products, once, inverse, d);
  const condition = growth(start, grown, d) * growth(once, again, d) ** root;
  return { residual: distance(restored, z), condition };
}

/** `‖W M' Wᵀ − I‖_F/√d` of `W = L⁻¹`, `M' = M + shift·I = L Lᵀ`. */
export function judgeWhitener(products: Products, m: Shifted, whitener: Values): Judgement {
  const { d } = m;
  const z = probes(d);
  const half = times(products, z, whitener, d);
  const { first: middle, second: grown, start } = applyShifted(products, m, half);
  const restored = timesTransposed(products, middle, whitener, d);
  const solve = (rows: Values) =>
    times(products, timesTransposed(products, rows, whitener, d), whitener, d);
  const once = solve(z);
  const condition = growth(start, grown, d) * growth(once, solve(once), d);
  return { residual: distance(restored, z), condition };
}

/**
 * `‖MQ − QΛ‖_F/‖M‖_F` and `‖QᵀQ − I‖_F/√d`.
 *
 * @param rows `Qᵀ [d, d]`: eigenvectors in rows. @param norm `‖M‖_F`.
 */
export function judgeEigh(
  products: Products,
  { matrix, norm, d, rows, values }: {
    matrix: Values;
    norm: number;
    d: number;
    rows: Values;
    values: Values;
  },
): { residual: number; orthogonality: number } {
  const z = probes(d);
  const weighted = z.map((value, at) => value * values[at % d]);
  const both = times(products, stack(z, weighted), rows, d); // (Qz)ᵀ, (QΛz)ᵀ
  const qz = both.subarray(0, z.length), right = both.subarray(z.length);
  const left = times(products, qz, matrix, d);
  const unit = norm > 0 ? norm / Math.sqrt(d) : 1; // `distance` divides by √d
  return {
    residual: distance(left, right) / unit,
    orthogonality: distance(timesTransposed(products, qz, rows, d), z),
  };
}

/** The probes as rows, made once a size. */
function probes(d: number): Values {
  let rows = known.get(d);
  if (rows === undefined) {
    rows = new Float32Array(PROBES * d);
    for (let k = 0; k < PROBES; k++) for (let i = 0; i < d; i++) rows[k * d + i] = sign(k, i);
    if (known.size >= KNOWN_SIZES) known.clear();
    known.set(d, rows);
  }
  return rows;
}

const known = new Map<number, Values>();
/** More sizes than a model has layers; bounds the memory of a long life. */
const KNOWN_SIZES = 256;

/** `rows · M'`, and `start · M'` of vectors that already point to the top of the spectrum: one pass over M. */
function applyShifted(
  products: Products,
  { matrix, shift, d }: Shifted,
  rows: Values,
): { first: Values; second: Values; start: Values } {
  const start = dominantRows({ matrix, shift, d });
  const input = stack(rows, start);
  const output = times(products, input, matrix, d);
  for (let at = 0; at < output.length; at++) output[at] += shift * input[at];
  return { first: output.subarray(0, rows.length), second: output.subarray(rows.length), start };
}

/** Rows of M' with the largest diagonal: `M' e_i`, a power step for nothing. */
function dominantRows({ matrix, shift, d }: Shifted): Values {
  const count = Math.min(PROBES, d);
  const rows = new Float32Array(count * d);
  const taken = new Set<number>();
  for (let k = 0; k < count; k++) {
    let best = -1;
    for (let i = 0; i < d; i++) {
      if (!taken.has(i) && (best < 0 || matrix[i * (d + 1)] > matrix[best * (d + 1)])) best = i;
    }
    taken.add(best);
    rows.set(matrix.subarray(best * d, (best + 1) * d), k * d);
    rows[k * d + best] += shift;
  }
  return rows;
}

/** `rows · A`. */
function times(products: Products, rows: Values, a: Values, d: number): Values {
  const product = new Float32Array(rows.length);
  products.gemm(product, rows, a, { m: rows.length / d, k: d, n: d });
  return product;
}

/** `rows · Aᵀ`. */
function timesTransposed(products: Products, rows: Values, a: Values, d: number): Values {
  const product = new Float32Array(rows.length);
  products.gemm(product, rows, a, { m: rows.length / d, k: d, n: d, transposeB: true });
  return product;
}

function stack(above: Values, below: Values): Values {
  const both = new Float32Array(above.length + below.length);
  both.set(above);
  both.set(below, above.length);
  return both;
}

/** Root mean square of the entries of `x − y`: of probed residuals `‖R‖_F/√d`. */
function distance(x: Values, y: Values): number {
  let sum = 0;
  for (let at = 0; at < x.length; at++) sum += (x[at] - y[at]) ** 2;
  return Math.sqrt(sum / x.length);
}

/** The largest factor by which a row grew: a lower bound of the norm of what was applied. */
function growth(before: Values, after: Values, d: number): number {
  let largest = 0;
  for (let at = 0; at < before.length; at += d) {
    let from = 0, to = 0;
    for (let i = at; i < at + d; i++) {
      from += before[i] ** 2;
      to += after[i] ** 2;
    }
    const factor = Math.sqrt(to / from);
    if (Number.isNaN(factor)) return NaN;
    largest = Math.max(largest, factor);
  }
  return largest;
}
