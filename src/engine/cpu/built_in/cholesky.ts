/**
 * Cholesky factor and inverse of a symmetric positive definite matrix, in float64.
 *
 *   A = L Lᵀ,   A⁻¹ = W Wᵀ with W = L⁻ᵀ
 *
 * Both run left-looking over blocks of columns, so nearly all work is {@linkcode addRowProducts}: rows of `L` against rows
 * of `L`, rows of `W` (the columns of `L⁻¹`) against rows of `L`, rows of `W` against rows of `W`.
 *
 * @module
 */
import type { FailedPivot } from "../../float64.ts";
import { mirrorLower } from "../mirror.ts";
import { addRowProducts } from "./row_products.ts";

/** Columns factored at a time: 4 rows of a block and what they meet stay in the first-level cache. */
const BLOCK = 64;

/** Lower `L [d, d]` with zeros above the diagonal, or the pivot that failed. Reads the lower triangle of `a`. */
export function cholesky(a: Float64Array, d: number): Float64Array<ArrayBuffer> | FailedPivot {
  const l = lowerTriangle(a, d);
  for (let start = 0; start < d; start += BLOCK) {
    const width = Math.min(BLOCK, d - start);
    subtractEarlierColumns(l, d, start, width);
    const failed = factorDiagonal(l, d, start, width);
    if (failed) return failed;
    solvePanel(l, d, start, width);
  }
  return l;
}

/** `A⁻¹ [d, d]`, symmetric to the bit, or the pivot that failed. */
export function choleskyInverse(
  a: Float64Array,
  d: number,
): Float64Array<ArrayBuffer> | FailedPivot {
  const l = cholesky(a, d);
  return l instanceof Float64Array ? gramOfUpper(inverseTransposed(l, d), d) : l;
}

/** `W = L⁻ᵀ`, upper triangular: row i is column i of `L⁻¹`. */
export function inverseTransposed(l: Float64Array, d: number): Float64Array<ArrayBuffer> {
  const w = new Float64Array(d * d);
  for (let start = 0; start < d; start += BLOCK) {
    const width = Math.min(BLOCK, d - start);
    for (let rows = 0; rows < start; rows += BLOCK) { // W[i, start…] −= Σ_k W[i, k] L[start…, k], k from i's block on
      addRowProducts(
        { data: w, start: rows * d + start, stride: d },
        { data: w, start: rows * d + rows, stride: d },
        { data: l, start: start * d + rows, stride: d },
        { m: BLOCK, n: width, k: start - rows, sign: -1 },
      );
    }
    for (let i = 0; i < start + width; i++) {
      const row = i * d;
      for (let r = Math.max(start, i); r < start + width; r++) {
        let sum = r === i ? 1 : w[row + r];
        for (let k = Math.max(start, i); k < r; k++) sum -= w[row + k] * l[r * d + k];
        w[row + r] = sum / l[r * d + r];
      }
    }
  }
  return w;
}

/** `W Wᵀ` of an upper triangular `W`: the lower triangle is computed, the upper mirrored. */
function gramOfUpper(w: Float64Array, d: number): Float64Array<ArrayBuffer> {
  const x = new Float64Array(d * d);
  for (let i = 0; i < d; i += BLOCK) {
    const height = Math.min(BLOCK, d - i);
    for (let j = 0; j <= i; j += BLOCK) {
      for (let k = i; k < d; k += BLOCK) { // W[i, k] = 0 left of the diagonal
        addRowProducts(
          { data: x, start: i * d + j, stride: d },
          { data: w, start: i * d + k, stride: d },
          { data: w, start: j * d + k, stride: d },
          { m: height, n: Math.min(BLOCK, d - j), k: Math.min(BLOCK, d - k), sign: 1 },
        );
      }
    }
  }
  mirrorLower(x, d);
  return x;
}

function lowerTriangle(a: Float64Array, d: number): Float64Array<ArrayBuffer> {
  const l = new Float64Array(d * d);
  for (let i = 0; i < d; i++) l.set(a.subarray(i * d, i * d + i + 1), i * d);
  return l;
}

/** `A[i, j] −= Σ_{k < start} L[i, k] L[j, k]` for the block's columns j and all rows below. */
function subtractEarlierColumns(l: Float64Array, d: number, start: number, width: number): void {
  for (let k = 0; k < start; k += 4 * BLOCK) {
    addRowProducts(
      { data: l, start: start * d + start, stride: d },
      { data: l, start: start * d + k, stride: d },
      { data: l, start: start * d + k, stride: d },
      { m: d - start, n: width, k: Math.min(4 * BLOCK, start - k), sign: -1 },
    );
  }
}

function factorDiagonal(
  l: Float64Array,
  d: number,
  start: number,
  width: number,
): FailedPivot | null {
  for (let j = start; j < start + width; j++) {
    let pivot = l[j * d + j];
    for (let k = start; k < j; k++) pivot -= l[j * d + k] ** 2;
    if (!(pivot > 0) || pivot === Infinity) return { index: j, value: pivot };
    const diagonal = Math.sqrt(pivot);
    l[j * d + j] = diagonal;
    l.fill(0, j * d + j + 1, j * d + start + width); // the update wrote above the diagonal too
    for (let i = j + 1; i < start + width; i++) solveEntry(l, d, i, j, start);
  }
  return null;
}

/** Rows below the diagonal block: `L[i, :] ← L[i, :] L_block⁻ᵀ`. */
function solvePanel(l: Float64Array, d: number, start: number, width: number): void {
  for (let i = start + width; i < d; i++) {
    for (let j = start; j < start + width; j++) solveEntry(l, d, i, j, start);
  }
}

function solveEntry(l: Float64Array, d: number, i: number, j: number, start: number): void {
  let sum = l[i * d + j];
  for (let k = start; k < j; k++) sum -= l[i * d + k] * l[j * d + k];
  l[i * d + j] = sum / l[j * d + j];
}
