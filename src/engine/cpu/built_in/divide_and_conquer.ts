/**
 * Eigenvalues and eigenvectors of a symmetric tridiagonal matrix; nearly all of the work is matrix products.
 *
 *   T = diag(T₁, T₂) + |β| v vᵀ,   v = (0 … 1, ±1 … 0)   torn where β couples its halves
 *   Tᵢ = Qᵢ Dᵢ Qᵢᵀ,   T = Q (D + |β| z zᵀ) Qᵀ = (Q U) Λ (Q U)ᵀ   with Q = diag(Q₁, Q₂) and z = Qᵀ v
 *
 * Source: Cuppen 1981; Gu, Eisenstat 1995 (LAPACK's stedc).
 * Departs: eigenvalues, and the first and last entries of eigenvectors that they depend on, are float64; eigenvectors and
 * their products are float32.
 *
 * @module
 */
import type { Float32Products } from "../products.ts";
import { turn } from "../turn.ts";
import { deflate, type Pole } from "./deflation.ts";
import { fromStrips, implicitQl } from "./implicit_ql.ts";
import { rankOneVectors, secularRoots } from "./secular_equation.ts";

type Values = Float32Array<ArrayBuffer>;

/** The largest side that is left to QL. */
const LEAF = 32;

/** What is neglected of an entry of a matrix of norm 1: a thousandth of what float32 rounds. */
const TOLERANCE = 2 ** -34;

/** Of one tridiagonal matrix. */
export interface TridiagonalSpectrum {
  /** `w [d]`, ascending. */
  readonly values: Float64Array<ArrayBuffer>;
  /** `Zᵀ [d, d]`: eigenvectors in rows. */
  readonly rows: Values;
  /** First and last entry of each eigenvector. */
  readonly first: Float64Array;
  readonly last: Float64Array;
}

/**
 * `T = Z diag(w) Zᵀ`.
 *
 * @param diagonal `[d]`, of a size about 1.
 * @param offDiagonal `[d]`: entry i couples i−1 and i.
 * @throws CurvdError `not-converged`.
 */
export function divideAndConquer(
  products: Float32Products,
  diagonal: Float64Array,
  offDiagonal: Float64Array,
): TridiagonalSpectrum {
  const d = diagonal.length;
  if (d <= LEAF) return solveLeaf(diagonal.slice(), offDiagonal.slice());
  const half = d >> 1;
  const coupling = offDiagonal[half];
  const upper = diagonal.slice(0, half), lower = diagonal.slice(half);
  upper[half - 1] -= Math.abs(coupling);
  lower[0] -= Math.abs(coupling);
  return merge(
    products,
    divideAndConquer(products, upper, offDiagonal.subarray(0, half)),
    divideAndConquer(products, lower, offDiagonal.subarray(half)),
    coupling,
  );
}

/** @param diagonal destroyed. @param offDiagonal destroyed. */
function solveLeaf(
  diagonal: Float64Array<ArrayBuffer>,
  offDiagonal: Float64Array,
): TridiagonalSpectrum {
  const d = diagonal.length;
  const identity = new Float64Array(d * d);
  for (let i = 0; i < d; i++) identity[i * (d + 1)] = 1;
  const strips = implicitQl(diagonal, offDiagonal, identity);
  const order = Uint32Array.from(diagonal.keys()).sort((i, j) => diagonal[i] - diagonal[j]);
  const vectors = fromStrips(strips, order);
  const rows = new Float32Array(d * d);
  turn(rows, vectors, { rows: d, columns: d });
  return {
    values: Float64Array.from(order, (at) => diagonal[at]),
    rows,
    first: vectors.slice(0, d),
    last: vectors.slice((d - 1) * d),
  };
}

/** An eigenvector of both blocks together. */
interface Eigenvector extends Pole {
  first: number;
  last: number;
  /** Its entries in the rows of T₁, and in those of T₂; null where they are zero. */
  upper: Values | null;
  lower: Values | null;
}

/** `diag(T₁, T₂) + |β| v vᵀ` from the spectra of its halves. @param coupling `β`. */
function merge(
  products: Float32Products,
  top: TridiagonalSpectrum,
  bottom: TridiagonalSpectrum,
  coupling: number,
): TridiagonalSpectrum {
  const rho = 2 * Math.abs(coupling); // v has length √2
  const torn = [
    ...eigenvectorsOf(top, (j, entries) => ({
      weight: top.last[j] * Math.SQRT1_2,
      last: 0,
      upper: entries,
      lower: null,
    })),
    ...eigenvectorsOf(bottom, (j, entries) => ({
      weight: Math.sign(coupling) * bottom.first[j] * Math.SQRT1_2,
      first: 0,
      upper: null,
      lower: entries,
    })),
  ];
  const { moved, left } = deflate(torn, rho, TOLERANCE, rotate);
  const update = {
    poles: Float64Array.from(moved, ({ pole }) => pole),
    weights: Float64Array.from(moved, ({ weight }) => weight),
    rho,
  };
  const roots = secularRoots(update);
  const combined = combine(products, moved, rankOneVectors(update, roots), {
    upper: top.values.length,
    lower: bottom.values.length,
  });
  combined.forEach((vector, j) => vector.pole = roots.values[j]);
  return spectrumOf([...left, ...combined], top.values.length);
}

/** The eigenvectors of a half, each with what its place beside the other half makes of it. */
function eigenvectorsOf(
  { values, rows, first, last }: TridiagonalSpectrum,
  place: (
    j: number,
    entries: Values,
  ) => Omit<Eigenvector, "pole" | "first" | "last"> & { first?: 0; last?: 0 },
): Eigenvector[] {
  const d = values.length;
  return Array.from(values, (pole, j) => ({
    pole,
    first: first[j],
    last: last[j],
    ...place(j, rows.subarray(j * d, (j + 1) * d)),
  }));
}

function rotate(x: Eigenvector, y: Eigenvector, c: number, s: number): void {
  const mixed = (p: number, q: number) => [c * p + s * q, c * q - s * p];
  [x.first, y.first] = mixed(x.first, y.first);
  [x.last, y.last] = mixed(x.last, y.last);
  [x.upper, y.upper] = rotated(x.upper, y.upper, c, s);
  [x.lower, y.lower] = rotated(x.lower, y.lower, c, s);
}

function rotated(
  x: Values | null,
  y: Values | null,
  c: number,
  s: number,
): [Values | null, Values | null] {
  if (x === null && y === null) return [null, null];
  const p = x ?? new Float32Array(y!.length), q = y ?? new Float32Array(x!.length);
  return [p.map((value, i) => c * value + s * q[i]), q.map((value, i) => c * value - s * p[i])];
}

/** `Q U`. @param u `Uᵀ [k, k]`: row j combines the vectors to the j-th new one. */
function combine(
  products: Float32Products,
  vectors: readonly Eigenvector[],
  u: Float64Array,
  sides: { upper: number; lower: number },
): Eigenvector[] {
  const k = vectors.length;
  const upper = combineParts(products, vectors.map((each) => each.upper), u, sides.upper);
  const lower = combineParts(products, vectors.map((each) => each.lower), u, sides.lower);
  return vectors.map((_, j) => {
    let first = 0, last = 0;
    for (let i = 0; i < k; i++) {
      first += u[j * k + i] * vectors[i].first;
      last += u[j * k + i] * vectors[i].last;
    }
    return { pole: NaN, weight: 0, first, last, upper: upper[j], lower: lower[j] };
  });
}

/** Combines the parts of vectors that are not zero. @param side entries of a part. */
function combineParts(
  products: Float32Products,
  parts: readonly (Values | null)[],
  u: Float64Array,
  side: number,
): Values[] {
  const k = parts.length;
  const places = parts.flatMap((part, i) => part === null ? [] : [i]);
  const count = places.length;
  const a = new Float32Array(k * count), b = new Float32Array(count * side);
  for (let j = 0; j < k; j++) {
    for (let p = 0; p < count; p++) a[j * count + p] = u[j * k + places[p]];
  }
  places.forEach((i, p) => b.set(parts[i]!, p * side));
  const c = new Float32Array(k * side);
  if (count > 0) products.matMul(c, a, b, { m: k, k: count, n: side });
  return Array.from({ length: k }, (_, j) => c.subarray(j * side, (j + 1) * side));
}

/** In ascending order. @param half entries of the upper part. */
function spectrumOf(vectors: readonly Eigenvector[], half: number): TridiagonalSpectrum {
  const d = vectors.length;
  const ascending = vectors.toSorted((x, y) => x.pole - y.pole);
  const rows = new Float32Array(d * d);
  ascending.forEach(({ upper, lower }, j) => {
    if (upper) rows.set(upper, j * d);
    if (lower) rows.set(lower, j * d + half);
  });
  return {
    values: Float64Array.from(ascending, ({ pole }) => pole),
    rows,
    first: Float64Array.from(ascending, ({ first }) => first),
    last: Float64Array.from(ascending, ({ last }) => last),
  };
}
