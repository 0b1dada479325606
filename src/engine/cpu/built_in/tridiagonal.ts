/**
 * Householder reduction of a symmetric matrix to tridiagonal form.
 *
 *   A = Q T Qᵀ,   Q = H_{d−1} ⋯ H_1,   H_i = I − u_i u_iᵀ / h_i
 *
 * Source: Martin, Reinsch, Wilkinson 1968 (EISPACK tred2), from the last row upward.
 * Departs: one pass over the lower triangle a step. Row i−1 is updated first, which gives the next reflector, so that the
 * rank-two update of step i and the product `A u` of step i−1 meet each entry together; two rows share what they load.
 *
 * @module
 */

/**
 * Entries that are taken for zero where the largest is about 1: what is below the rounding of the rounding of a matrix that
 * lacks rank. The fourth power, which the reduction forms, is still a number.
 */
export const NEGLIGIBLE = 2 ** -250;

export interface Tridiagonal {
  /** `[d]`. */
  readonly diagonal: Float64Array<ArrayBuffer>;
  /** `[d]`: entry i couples i−1 and i; entry 0 is 0. */
  readonly offDiagonal: Float64Array<ArrayBuffer>;
  /** Row i holds `u_i` in its first i entries. */
  readonly reflectors: Float64Array<ArrayBuffer>;
  /** `h_i = ‖u_i‖²/2`, 0 where the row needed no reflection. */
  readonly norms: Float64Array<ArrayBuffer>;
}

/** @param a `[d, d]`, scaled to at most 1, its lower triangle is read; overwritten and given back as `reflectors`. */
export function tridiagonalize(a: Float64Array<ArrayBuffer>, d: number): Tridiagonal {
  const diagonal = new Float64Array(d);
  const offDiagonal = new Float64Array(d);
  const norms = new Float64Array(d);
  const q = new Float64Array(d); // of the pending update A −= q uᵀ + u qᵀ
  const product = new Float64Array(d); // A u of the next reflector
  let u = a.subarray(0, 0);
  for (let i = d - 1; i >= 1; i--) {
    const pending = u.length > 0 && norms[i + 1] !== 0;
    if (pending) updateRow(a, i, d, q, u);
    diagonal[i] = a[i * d + i];
    const next = a.subarray(i * d, i * d + i);
    norms[i] = reflect(next, offDiagonal, i);
    product.fill(0, 0, i);
    const v = norms[i] === 0 ? null : next;
    if (v && pending) updateAndMultiply(a, i, d, q, u, v, product);
    else if (v) multiply(a, i, d, v, product);
    else if (pending) { for (let r = 0; r < i; r++) updateRow(a, r, d, q, u); }
    if (v) halfUpdate(q, product, v, norms[i]);
    u = next;
  }
  if (d > 1 && norms[1] !== 0) updateRow(a, 0, d, q, u);
  diagonal[0] = a[0];
  return { diagonal, offDiagonal, reflectors: a, norms };
}

/** Makes `u` of the row `x` in place, notes what it leaves beside the diagonal; returns `h`. */
function reflect(x: Float64Array, offDiagonal: Float64Array, i: number): number {
  let tail = 0;
  for (let k = 0; k < i - 1; k++) tail += x[k] * x[k];
  const alpha = x[i - 1];
  if (tail <= NEGLIGIBLE ** 2) {
    offDiagonal[i] = alpha;
    return 0;
  }
  const norm = Math.sqrt(alpha * alpha + tail);
  const beta = alpha > 0 ? -norm : norm; // opposite sign: no cancellation in alpha − beta
  offDiagonal[i] = beta;
  x[i - 1] = alpha - beta;
  return norm * (norm + Math.abs(alpha));
}

/** `q = p − (uᵀp / 2h) u` with `p = A u / h`. */
function halfUpdate(q: Float64Array, product: Float64Array, u: Float64Array, h: number): void {
  const n = u.length;
  let dot = 0;
  for (let k = 0; k < n; k++) dot += u[k] * product[k];
  const half = dot / (2 * h * h);
  for (let k = 0; k < n; k++) q[k] = product[k] / h - half * u[k];
}

/** Row r of `A −= q uᵀ + u qᵀ`, up to its diagonal. */
function updateRow(a: Float64Array, r: number, d: number, q: Float64Array, u: Float64Array): void {
  const row = r * d, qr = q[r], ur = u[r];
  for (let c = 0; c <= r; c++) a[row + c] -= qr * u[c] + ur * q[c];
}

/** `p = A v` from the lower triangle of the leading n rows. */
function multiply(a: Float64Array, n: number, d: number, v: Float64Array, p: Float64Array): void {
  for (let r = 0; r < n; r++) {
    const row = r * d, vr = v[r];
    let sum = a[row + r] * vr;
    for (let c = 0; c < r; c++) {
      const x = a[row + c];
      sum += x * v[c];
      p[c] += x * vr;
    }
    p[r] += sum;
  }
}

/** {@linkcode updateRow} of the leading n rows and {@linkcode multiply}, in one pass and two rows at a time. */
function updateAndMultiply(
  a: Float64Array,
  n: number,
  d: number,
  q: Float64Array,
  u: Float64Array,
  v: Float64Array,
  p: Float64Array,
): void {
  let r = 0;
  for (; r + 1 < n; r += 2) {
    const row = r * d, below = row + d;
    const q0 = q[r], u0 = u[r], v0 = v[r];
    const q1 = q[r + 1], u1 = u[r + 1], v1 = v[r + 1];
    let sum0 = 0, sum1 = 0;
    for (let c = 0; c < r; c++) {
      const uc = u[c], qc = q[c], vc = v[c];
      const x = a[row + c] - (q0 * uc + u0 * qc);
      const y = a[below + c] - (q1 * uc + u1 * qc);
      a[row + c] = x;
      a[below + c] = y;
      sum0 += x * vc;
      sum1 += y * vc;
      p[c] += x * v0 + y * v1;
    }
    const corner = a[row + r] -= 2 * q0 * u0;
    const side = a[below + r] -= q1 * u0 + u1 * q0;
    const last = a[below + r + 1] -= 2 * q1 * u1;
    p[r] += sum0 + corner * v0 + side * v1;
    p[r + 1] += sum1 + side * v0 + last * v1;
  }
  if (r < n) {
    updateRow(a, r, d, q, u);
    const row = r * d, vr = v[r];
    let sum = a[row + r] * vr;
    for (let c = 0; c < r; c++) {
      const x = a[row + c];
      sum += x * v[c];
      p[c] += x * vr;
    }
    p[r] += sum;
  }
}
