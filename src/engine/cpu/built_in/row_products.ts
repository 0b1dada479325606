/**
 * The one inner loop of the built-in dense algebra: products of rows.
 *
 *   C[i, j] += sign · Σ_k A[i, k] B[j, k]
 *
 * Matrix product, Cholesky factor, triangular inverse and `L⁻ᵀL⁻¹` are all sums over contiguous rows when the right
 * one of each operand's two layouts is kept, so one loop, tiled 4×4 to reuse what it loads, serves all.
 *
 * @module
 */

/** A block of a row-major matrix: where it starts and how far apart its rows are. */
export interface Block {
  readonly data: Float64Array;
  /** Index of the block's first element. */
  readonly start: number;
  /** Elements from one row to the next. */
  readonly stride: number;
}

/**
 * Adds (`sign` = 1) or subtracts (`sign` = −1) the products of rows.
 *
 * @param c `[m, n]`, updated in place.
 * @param a `[m, k]`. @param b `[n, k]`.
 */
export function addRowProducts(
  c: Block,
  a: Block,
  b: Block,
  { m, n, k, sign }: { m: number; n: number; k: number; sign: 1 | -1 },
): void {
  const mTiled = m - m % 4;
  const nTiled = n - n % 4;
  for (let j = 0; j < nTiled; j += 4) {
    for (let i = 0; i < mTiled; i += 4) addTile(c, a, b, i, j, k, sign);
    for (let i = mTiled; i < m; i++) for (let t = j; t < j + 4; t++) addOne(c, a, b, i, t, k, sign);
  }
  for (let i = 0; i < m; i++) for (let j = nTiled; j < n; j++) addOne(c, a, b, i, j, k, sign);
}

function addOne(c: Block, a: Block, b: Block, i: number, j: number, k: number, sign: number): void {
  const ai = a.start + i * a.stride;
  const bj = b.start + j * b.stride;
  const x = a.data, y = b.data;
  let sum = 0;
  for (let t = 0; t < k; t++) sum += x[ai + t] * y[bj + t];
  c.data[c.start + i * c.stride + j] += sign * sum;
}

/** 16 sums at once: each value loaded is used four times. */
function addTile(
  c: Block,
  a: Block,
  b: Block,
  i: number,
  j: number,
  k: number,
  sign: number,
): void {
  const x = a.data, y = b.data;
  const a0 = a.start + i * a.stride, a1 = a0 + a.stride, a2 = a1 + a.stride, a3 = a2 + a.stride;
  const b0 = b.start + j * b.stride, b1 = b0 + b.stride, b2 = b1 + b.stride, b3 = b2 + b.stride;
  let s00 = 0, s01 = 0, s02 = 0, s03 = 0;
  let s10 = 0, s11 = 0, s12 = 0, s13 = 0;
  let s20 = 0, s21 = 0, s22 = 0, s23 = 0;
  let s30 = 0, s31 = 0, s32 = 0, s33 = 0;
  for (let t = 0; t < k; t++) {
    const x0 = x[a0 + t], x1 = x[a1 + t], x2 = x[a2 + t], x3 = x[a3 + t];
    const y0 = y[b0 + t], y1 = y[b1 + t], y2 = y[b2 + t], y3 = y[b3 + t];
    s00 += x0 * y0, s01 += x0 * y1, s02 += x0 * y2, s03 += x0 * y3;
    s10 += x1 * y0, s11 += x1 * y1, s12 += x1 * y2, s13 += x1 * y3;
    s20 += x2 * y0, s21 += x2 * y1, s22 += x2 * y2, s23 += x2 * y3;
    s30 += x3 * y0, s31 += x3 * y1, s32 += x3 * y2, s33 += x3 * y3;
  }
  const z = c.data;
  const c0 = c.start + i * c.stride + j, c1 = c0 + c.stride, c2 = c1 + c.stride, c3 = c2 + c.stride;
  z[c0] += sign * s00, z[c0 + 1] += sign * s01, z[c0 + 2] += sign * s02, z[c0 + 3] += sign * s03;
  z[c1] += sign * s10, z[c1 + 1] += sign * s11, z[c1 + 2] += sign * s12, z[c1 + 3] += sign * s13;
  z[c2] += sign * s20, z[c2 + 1] += sign * s21, z[c2 + 2] += sign * s22, z[c2 + 3] += sign * s23;
  z[c3] += sign * s30, z[c3 + 1] += sign * s31, z[c3 + 2] += sign * s32, z[c3 + 3] += sign * s33;
}
