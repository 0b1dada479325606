/**
 * The leading singular pairs of the rearranged Fisher block, by Golub–Kahan bidiagonalization.
 *
 *   α_j p_j = R q_j − β_{j−1} p_{j−1},   β_j q_{j+1} = Rᵀ p_j − α_j q_j,   R ≈ P B Qᵀ
 *
 * Every vector is made orthogonal to all before it, twice, and the last β is kept (B is K × (K+1)): without either, an exhausted
 * left space leaves false pairs. A vector of which nothing is left then is zero, not noise of unit length. Restarted from the sum
 * of the leading right vectors until all of these pairs hold to the tolerance.
 *
 * Source: Golub & Kahan 1965; Koroko et al. 2022, arXiv:2201.10285.
 * Departs: the authors drop the last β and do not reorthogonalize.
 *
 * @module
 */
import {
  add,
  dispose,
  greater,
  mul,
  type Scalar,
  slice,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  tensor1d,
  tidy,
  where,
  zerosLike,
} from "@tensorflow/tfjs-core";
import {
  frobeniusNorm,
  innerProduct,
  type LinearAlgebra,
  reciprocal,
  scaleEach,
  type Stack,
} from "@/linalg/mod.ts";
import { identityStart, mixedStart, normalized, type Rearranged, scaledTerm } from "./power_svd.ts";
import { smallSvd } from "./small_svd.ts";
import type { KroneckerTerms, StoppingRule } from "./term.ts";

/** Steps between restarts, where so many are allowed. */
export const STEPS = 10;

/** What is left of a vector, relative to it, once it is orthogonal to all before it, that is rounding alone. */
const NOISE = 1e-6;

/**
 * A linear map R and its adjoint. Vectors of the left side are `[b, d_out, d_out]`; those of the right are matrices V, or
 * coordinates of such, which are scaled by block and added alike.
 */
export interface Bidiagonalizable {
  readonly groups: number;
  /** The first vector of the right side, of unit length; the caller disposes it. */
  start(): Stack;
  forward(v: Stack): Stack;
  /** `Rᵀ U` without its parts along a basis of unit vectors: {@linkcode unitOf}. */
  adjoint(U: Stack, basis: readonly Stack[]): Unit;
  /** The sum of vectors, of unit length. */
  unitSum(vectors: readonly Stack[]): Stack;
  /** `V [b, d_in, d_in]`. */
  matrixOf(v: Stack): Stack;
}

/** A vector of unit length, or zero, and how long it was `[b]`. */
export type Unit = {
  readonly unit: Stack;
  readonly norm: Tensor1D;
};

/** The bidiagonalization of one cycle; `q` has one vector more than `p`. */
interface Cycle {
  readonly p: Stack[];
  readonly q: Stack[];
  /** Diagonal and superdiagonal of B `[b]` each; `alpha` has one more, which tells the residual. */
  readonly alpha: Tensor1D[];
  readonly beta: Tensor1D[];
}

/** The leading pairs, each `[b, d, d]` of unit norm, with σ of each block. */
interface Pairs {
  readonly U: Stack[];
  readonly V: Stack[];
  readonly sigma: number[][];
}

/** The leading terms. Starts are symmetric, so each is the best symmetric one. */
export function lanczosSvd(
  R: Rearranged,
  count: 1 | 2,
  rule: StoppingRule,
  linalg: LinearAlgebra,
): Promise<KroneckerTerms> {
  const byMatrices: Bidiagonalizable = {
    groups: R.groups,
    start: () => tidy(() => normalized(broadStart(R)).unit),
    forward: R.forward,
    adjoint: (U, basis) => unitOf(R.adjoint(U), basis),
    unitSum: (vectors) => tidy(() => normalized(vectors.reduce((sum, V) => add(sum, V))).unit),
    matrixOf: (V) => V.clone(),
  };
  return lanczosPairs(byMatrices, count, rule, linalg);
}

/**
 * A start that no leading vector is orthogonal to: the identity alone may be an exact singular vector, and then nothing is found
 * beside it; of a side of one the mixed start is ±1, and in equal parts they may cancel.
 */
export function broadStart(side: Pick<Rearranged, "dIn" | "groups">): Stack {
  return tidy(() => add(identityStart(side), mul(mixedStart(side), 0.5)));
}

/** The leading terms of whatever can be bidiagonalized. */
export async function lanczosPairs(
  R: Bidiagonalizable,
  count: 1 | 2,
  { tolerance, maxIterations }: StoppingRule,
  linalg: LinearAlgebra,
): Promise<KroneckerTerms> {
  let start = R.start();
  const steps = Math.max(count, Math.min(STEPS, maxIterations - 1));
  let iterations = 1, best = Infinity, stalled = 0;
  for (;;) {
    const cycle = bidiagonalize(R, start, steps);
    iterations += steps;
    const { pairs, residual } = await leadingPairs(cycle, count, R.groups, linalg);
    dispose([cycle.p, cycle.q, cycle.alpha, cycle.beta] as Tensor[][]);
    stalled = residual < best / 2 ? 0 : stalled + 1;
    best = Math.min(best, residual);
    if (residual <= tolerance || stalled > 1 || iterations + steps > maxIterations) {
      const terms = pairs.sigma.map((sigma, i) => {
        const V = R.matrixOf(pairs.V[i]);
        const term = scaledTerm(pairs.U[i], V, tensor1d(sigma));
        dispose(V);
        return term;
      });
      dispose([pairs.U, pairs.V]);
      return { terms, iterations };
    }
    start = R.unitSum(pairs.V);
    dispose([pairs.U, pairs.V]);
  }
}

/** One cycle; takes over the start. */
function bidiagonalize(R: Bidiagonalizable, start: Stack, steps: number): Cycle {
  const p: Stack[] = [], q: Stack[] = [start], alpha: Tensor1D[] = [], beta: Tensor1D[] = [];
  for (let j = 0; j < steps; j++) {
    const left = tidy(() => unitOf(R.forward(q[j]), p));
    p.push(left.unit);
    alpha.push(left.norm);
    const right = tidy(() => R.adjoint(p[j], q));
    q.push(right.unit);
    beta.push(right.norm);
  }
  const { unit, norm: beyond } = tidy(() => unitOf(R.forward(q[steps]), p));
  unit.dispose();
  return { p, q, alpha: [...alpha, beyond], beta };
}

/**
 * What is left of `x` once it is orthogonal to a basis, which takes the recurrence's `β p` and `α q` with it. Twice, for float32;
 * zero where rounding alone is left.
 */
function unitOf(x: Stack, basis: readonly Stack[]): Unit {
  const whole = frobeniusNorm(x);
  for (let round = 0; round < 2; round++) {
    for (const unit of basis) x = sub(x, scaleEach(unit, innerProduct(unit, x)));
  }
  const norm = beyondNoise(frobeniusNorm(x), whole);
  return { unit: scaleEach(x, reciprocal(norm)), norm };
}

/** A length, or zero where it is what rounding leaves of the whole. */
export function beyondNoise(rest: Tensor1D, whole: Tensor1D): Tensor1D {
  return where(greater(rest, mul(whole, NOISE)), rest, zerosLike(rest));
}

/** The leading pairs of each block, and the largest relative residual `α_{K+1} |last of v| / σ`. */
async function leadingPairs(
  { p, q, alpha, beta }: Cycle,
  count: 1 | 2,
  groups: number,
  linalg: LinearAlgebra,
): Promise<{ pairs: Pairs; residual: number }> {
  const scalars = [...alpha, ...beta].flatMap((each) => unstacked(each, groups));
  const numbers = await linalg.numbers(scalars);
  dispose(scalars);
  const at = (i: number, block: number) => numbers[i * groups + block];
  const steps = p.length;
  const svds = Array.from({ length: groups }, (_, block) => {
    const B = p.map((_, j) =>
      q.map((_, i) => i === j ? at(j, block) : i === j + 1 ? at(steps + 1 + j, block) : 0)
    );
    return smallSvd(B);
  });
  const leading = Array.from({ length: count }, (_, i) => i);
  const residual = Math.max(
    ...svds.flatMap(({ values, right }, block) =>
      leading.map((i) =>
        values[0] > 0 ? at(steps, block) * Math.abs(right[i][steps]) / values[0] : 0
      )
    ),
  );
  const combine = (basis: readonly Stack[], weights: (block: number) => readonly number[]): Stack =>
    tidy(() =>
      basis.map((unit, j) => scaleEach(unit, tensor1d(svds.map((_, block) => weights(block)[j]))))
        .reduce((total, term) => add(total, term))
    );
  const pairs = {
    U: leading.map((i) => combine(p, (block) => svds[block].left[i])),
    V: leading.map((i) => combine(q, (block) => svds[block].right[i])),
    sigma: leading.map((i) => svds.map(({ values }) => values[i])),
  };
  return { pairs, residual };
}

/** The numbers of `[b]` as scalars. */
function unstacked(x: Tensor1D, groups: number): Scalar[] {
  return Array.from({ length: groups }, (_, i) => tidy(() => sum(slice(x, i, 1)) as Scalar));
}
