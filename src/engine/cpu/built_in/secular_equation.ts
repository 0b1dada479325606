/**
 * Eigenvalues and eigenvectors of a diagonal matrix with a rank-one update.
 *
 *   D + ρ z zᵀ = U diag(λ) Uᵀ,   1 + ρ Σ_i z_i² / (d_i − λ) = 0,   u_j ∝ z_i / (d_i − λ_j)
 *
 * Source: Cuppen 1981; Li 1994, the fixed weight iteration for a root (LAPACK's laed4); Gu, Eisenstat 1995, the weights ẑ of
 * which the computed roots are the exact ones, so that the vectors are orthogonal however close the roots are (laed3).
 *
 * @module
 */

/** Steps for one root; four or five are usual, and each halves its bracket at the least. */
const MOST_STEPS = 100;

/** `D + ρ z zᵀ`, deflated. */
export interface RankOneUpdate {
  /** `d [k]`, strictly ascending. */
  readonly poles: Float64Array;
  /** `z [k]`, none of them 0. */
  readonly weights: Float64Array;
  /** ρ > 0. */
  readonly rho: number;
}

export interface Roots {
  /** `λ [k]`, ascending. */
  readonly values: Float64Array<ArrayBuffer>;
  /** `[k, k]`: row j holds `d_i − λ_j`, each correct to its last digits. */
  readonly distances: Float64Array<ArrayBuffer>;
}

/** All roots. */
export function secularRoots(update: RankOneUpdate): Roots {
  const { poles } = update;
  const k = poles.length;
  const values = new Float64Array(k);
  const distances = new Float64Array(k * k);
  for (let j = 0; j < k; j++) {
    values[j] = findRoot(update, j, distances.subarray(j * k, (j + 1) * k));
  }
  return { values, distances };
}

/**
 * The root between pole j and the next; of the last, above all poles.
 *
 * It is sought as its distance `η` from the nearer pole.
 *
 * @param distances `[k]`, takes `d_i − λ`.
 */
function findRoot(
  { poles, weights, rho }: RankOneUpdate,
  j: number,
  distances: Float64Array,
): number {
  const k = poles.length;
  const isLast = j === k - 1;
  let width = rho;
  if (isLast) width *= weights.reduce((sum, z) => sum + z * z, 0);
  else width = poles[j + 1] - poles[j];
  for (let i = 0; i < k; i++) distances[i] = poles[i] - poles[j];
  if (k === 1) {
    distances[0] = -width;
    return poles[0] + width;
  }

  let eta = width / 2;
  let { value, below, above, slope, size } = evaluate(weights, distances, rho, j, eta);
  const origin = !isLast && value < 0 ? j + 1 : j;
  let low = 0, high = isLast && value < 0 ? width : width / 2;
  if (isLast && value < 0) low = width / 2;
  if (origin > j) {
    eta = -width / 2;
    low = eta;
    high = 0;
    for (let i = 0; i < k; i++) distances[i] = poles[i] - poles[origin];
  }

  const left = isLast ? j - 1 : j, right = left + 1;
  for (let step = 0; step < MOST_STEPS; step++) {
    if (Math.abs(value) <= Number.EPSILON * (8 * size + Math.abs(eta) * slope)) break;
    if (value < 0) low = eta;
    else high = eta;
    const dLeft = distances[left] - eta, dRight = distances[right] - eta;
    let change = isLast
      ? lastStep(value, below, above, dLeft, dRight)
      : innerStep(value, slope, dLeft, dRight, {
        gap: poles[j + 1] - poles[j],
        weight: weights[origin],
        isLeft: origin === j,
      });
    if (!(value * change < 0)) change = -value / slope;
    let next = eta + change;
    if (!(next > low && next < high)) next = (low + high) / 2;
    if (next === eta || next === low || next === high) break;
    eta = next;
    ({ value, below, above, slope, size } = evaluate(weights, distances, rho, j, eta));
  }
  for (let i = 0; i < k; i++) distances[i] -= eta;
  return poles[origin] + eta;
}

/** What the secular function `1/ρ + ψ + φ` is at a point. */
interface Point {
  value: number;
  /** Derivatives of `ψ`, the sum over the poles up to the root, and of `φ`, over those beyond. */
  below: number;
  above: number;
  slope: number;
  /** Sum of the sizes of its terms: what rounding is relative to. */
  size: number;
}

/** @param distances of the poles from the origin. @param j the last pole of ψ; of the last root `φ` is its own pole's. */
function evaluate(
  weights: Float64Array,
  distances: Float64Array,
  rho: number,
  j: number,
  eta: number,
): Point {
  const k = weights.length;
  const split = Math.min(j, k - 2);
  let psi = 0, below = 0, phi = 0, above = 0, size = 0;
  for (let i = 0; i <= split; i++) {
    const z = weights[i], ratio = z / (distances[i] - eta), term = z * ratio;
    psi += term;
    below += ratio * ratio;
    size += Math.abs(term);
  }
  for (let i = split + 1; i < k; i++) {
    const z = weights[i], ratio = z / (distances[i] - eta), term = z * ratio;
    phi += term;
    above += ratio * ratio;
    size += Math.abs(term);
  }
  return {
    value: 1 / rho + psi + phi,
    below,
    above,
    slope: below + above,
    size: size + 1 / rho,
  };
}

/** The zero of `c + s/(d_j − λ) + S/(d_{j+1} − λ)` that meets the function's value and slope here, with the nearer pole's own weight. */
function innerStep(
  value: number,
  slope: number,
  dLeft: number,
  dRight: number,
  { gap, weight, isLeft }: { gap: number; weight: number; isLeft: boolean },
): number {
  const c = isLeft
    ? value - dRight * slope + gap * (weight / dLeft) ** 2
    : value - dLeft * slope - gap * (weight / dRight) ** 2;
  const a = (dLeft + dRight) * value - dLeft * dRight * slope;
  const b = dLeft * dRight * value;
  if (c === 0) return b / a;
  const root = Math.sqrt(Math.abs(a * a - 4 * b * c));
  return a <= 0 ? (a - root) / (2 * c) : 2 * b / (a + root);
}

/** The same for the last root, of which both poles lie below. */
function lastStep(
  value: number,
  below: number,
  above: number,
  dLeft: number,
  dRight: number,
): number {
  const c = Math.abs(value - dLeft * below - dRight * above);
  const a = (dLeft + dRight) * value - dLeft * dRight * (below + above);
  const b = dLeft * dRight * value;
  if (c === 0) return -value / (below + above);
  const root = Math.sqrt(Math.abs(a * a - 4 * b * c));
  return a >= 0 ? (a + root) / (2 * c) : 2 * b / (a - root);
}

/** `Uᵀ [k, k]`: eigenvectors in rows, `u_j ∝ ẑ_i / (d_i − λ_j)`. */
export function rankOneVectors(update: RankOneUpdate, roots: Roots): Float64Array<ArrayBuffer> {
  const k = update.poles.length;
  const z = exactWeights(update, roots);
  const vectors = new Float64Array(k * k);
  for (let row = 0; row < k * k; row += k) {
    let square = 0;
    for (let i = 0; i < k; i++) {
      const entry = z[i] / roots.distances[row + i];
      vectors[row + i] = entry;
      square += entry * entry;
    }
    const scale = 1 / Math.sqrt(square);
    for (let i = 0; i < k; i++) vectors[row + i] *= scale;
  }
  return vectors;
}

/** `ẑ [k]`, of which the roots are exact: `ẑ_i² = Π_j (λ_j − d_i) / Π_{j≠i} (d_j − d_i)`, signs as in `z`. */
function exactWeights(
  { poles, weights }: RankOneUpdate,
  { distances }: Roots,
): Float64Array<ArrayBuffer> {
  const k = poles.length;
  const squares = new Float64Array(k).fill(1);
  for (let j = 0; j < k; j++) {
    const row = j * k;
    for (let i = 0; i < j; i++) squares[i] *= distances[row + i] / (poles[i] - poles[j]);
    squares[j] *= -distances[row + j];
    for (let i = j + 1; i < k; i++) squares[i] *= distances[row + i] / (poles[i] - poles[j]);
  }
  return squares.map((square, i) => Math.sign(weights[i]) * Math.sqrt(Math.abs(square)));
}
