/**
 * Singular values and vectors of a matrix of a dozen rows, on the host in float64.
 *
 * One-sided Jacobi (Hestenes 1958): columns of Bᵀ are rotated in pairs until they are orthogonal; their lengths are then the
 * singular values, to full relative accuracy.
 *
 * @module
 */

export interface SmallSvd {
  /** Descending. */
  readonly values: number[];
  /** Left singular vectors, one a row, in the order of the values. */
  readonly left: number[][];
  /** Right singular vectors, one a row. */
  readonly right: number[][];
}

/** The SVD of `B`, given by rows, with no more rows than columns. */
export function smallSvd(B: readonly (readonly number[])[]): SmallSvd {
  const k = B.length;
  const columns = B.map((row) => [...row]); // of Bᵀ
  const rotations = B.map((_, i) => B.map((_, j) => Number(i === j)));
  const SWEEPS = 30;
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let isRotated = false;
    for (let p = 0; p < k - 1; p++) {
      for (let q = p + 1; q < k; q++) {
        const [x, y] = [columns[p], columns[q]];
        const alpha = dot(x, x), beta = dot(y, y), gamma = dot(x, y);
        if (Math.abs(gamma) <= 1e-15 * Math.sqrt(alpha * beta)) continue;
        isRotated = true;
        const zeta = (beta - alpha) / (2 * gamma);
        const t = Math.sign(zeta || 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const c = 1 / Math.hypot(1, t), s = c * t;
        rotate(x, y, c, s);
        rotate(rotations[p], rotations[q], c, s);
      }
    }
    if (!isRotated) break;
  }
  const lengths = columns.map((column) => Math.sqrt(dot(column, column)));
  const order = lengths.map((_, i) => i).sort((i, j) => lengths[j] - lengths[i]);
  return {
    values: order.map((i) => lengths[i]),
    left: order.map((i) => rotations[i]),
    right: order.map((i) => columns[i].map((value) => lengths[i] > 0 ? value / lengths[i] : 0)),
  };
}

function dot(x: readonly number[], y: readonly number[]): number {
  return x.reduce((sum, value, i) => sum + value * y[i], 0);
}

function rotate(x: number[], y: number[], c: number, s: number): void {
  for (let i = 0; i < x.length; i++) [x[i], y[i]] = [c * x[i] - s * y[i], s * x[i] + c * y[i]];
}
