/**
 * Matrix product in float64 for either element type of the operands.
 *
 * Both operands are first laid out so that the sum runs along rows; the copy costs `mk + kn` and lets one loop
 * serve all four transpositions.
 *
 * @module
 */
import type { ProductSize } from "../products.ts";
import { turn } from "../turn.ts";
import { addRowProducts } from "./row_products.ts";

/** Length of the partial sums and rows of `B` met at once: 128 × 256 float64 fit the second-level cache. */
const DEPTH = 256;
const ROWS = 128;

/** `C [m, n] = op(A) op(B)`, accumulated in float64. */
export function matMul(
  a: Float32Array | Float64Array,
  b: Float32Array | Float64Array,
  { m, k, n, transposeA = false, transposeB = false }: ProductSize,
): Float64Array<ArrayBuffer> {
  const rowsOfA = transposeA ? transposed(a, k, m) : asFloat64(a);
  const columnsOfB = transposeB ? asFloat64(b) : transposed(b, k, n);
  const c = new Float64Array(m * n);
  for (let t = 0; t < k; t += DEPTH) {
    for (let j = 0; j < n; j += ROWS) {
      addRowProducts(
        { data: c, start: j, stride: n },
        { data: rowsOfA, start: t, stride: k },
        { data: columnsOfB, start: j * k + t, stride: k },
        { m, n: Math.min(ROWS, n - j), k: Math.min(DEPTH, k - t), sign: 1 },
      );
    }
  }
  return c;
}

/** `[rows, columns]` to `[columns, rows]`, in float64. */
export function transposed(
  x: Float32Array | Float64Array,
  rows: number,
  columns: number,
): Float64Array<ArrayBuffer> {
  const y = new Float64Array(x.length);
  turn(y, x, { rows, columns });
  return y;
}

function asFloat64(x: Float32Array | Float64Array): Float64Array {
  return x instanceof Float64Array ? x : Float64Array.from(x);
}
