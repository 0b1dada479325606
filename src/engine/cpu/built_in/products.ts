/**
 * Float32 products without a BLAS: XNNPACK in WebAssembly for all but small ones.
 *
 * XNNPACK adds up in float32 from first to last, which loses a digit over a thousand terms. So long sums are cut into pieces whose
 * results are added in float64.
 *
 * @module
 */
import { mirrorLower } from "../mirror.ts";
import type { Float32Products, GramSize, ProductSize, SymmetricSize } from "../products.ts";
import { turn } from "../turn.ts";
import { matMul } from "./mat_mul.ts";
import type { Xnnpack } from "./xnnpack.ts";

/** Terms added in float32: 256 of them have a relative error of about 3e-7. */
const PIECE = 256;

/** Multiplications below which copying in and out costs more than plain TypeScript takes: 32³. */
const SMALL = 2 ** 15;

export function builtInProducts(xnnpack: Xnnpack): Float32Products {
  function product(c: Float32Array, a: Float32Array, b: Float32Array, size: ProductSize): void {
    const { m, k, n, transposeA = false, transposeB = false } = size;
    if (m * k * n < SMALL) {
      c.set(matMul(a, b, size));
      return;
    }
    const sum = k > PIECE ? new Float64Array(c.length) : null;
    for (let start = 0; start < k; start += PIECE) {
      const length = Math.min(PIECE, k - start);
      xnnpack.multiply(
        { m, k: length, n },
        (left, right) => {
          copyColumns(left, a, { start, length, rows: m, columns: k }, transposeA);
          copyRows(right, b, { start, length, rows: k, columns: n }, transposeB);
        },
        (piece) => {
          if (sum === null) c.set(piece);
          else for (let at = 0; at < sum.length; at++) sum[at] += piece[at];
        },
      );
    }
    if (sum !== null) c.set(sum);
  }

  function gram(c: Float32Array, x: Float32Array, { n, d, scale }: GramSize): void {
    product(c, x, x, { m: d, k: n, n: d, transposeA: true });
    for (let at = 0; at < c.length; at++) c[at] *= scale;
    mirrorLower(c, d);
  }

  function symmetric(
    c: Float32Array,
    a: Float32Array,
    b: Float32Array,
    { d, ...size }: SymmetricSize,
  ): void {
    product(c, a, b, { ...size, m: d, n: d });
    mirrorLower(c, d);
  }

  return { matMul: product, gram, symmetric };
}

/** Columns `start…` of a matrix `[rows, columns]`, which may be stored transposed, as `[rows, length]`. */
function copyColumns(
  to: Float32Array,
  from: Float32Array,
  { start, length, rows, columns }: Piece,
  isTransposed: boolean,
): void {
  if (isTransposed) turn(to, from, { rows: length, columns: rows, start: start * rows });
  else {
    for (let row = 0; row < rows; row++) {
      const at = row * columns + start;
      to.set(from.subarray(at, at + length), row * length);
    }
  }
}

/** Rows `start…` of a matrix `[rows, columns]`, which may be stored transposed, as `[length, columns]`. */
function copyRows(
  to: Float32Array,
  from: Float32Array,
  { start, length, rows, columns }: Piece,
  isTransposed: boolean,
): void {
  if (isTransposed) turn(to, from, { rows: columns, columns: length, start, stride: rows });
  else to.set(from.subarray(start * columns, (start + length) * columns));
}

interface Piece {
  readonly start: number;
  readonly length: number;
  readonly rows: number;
  readonly columns: number;
}
