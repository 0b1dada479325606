/**
 * The two leading singular pairs of the rearranged Fisher block, by Golub–Kahan bidiagonalization.
 *
 *   α_j p_j = R q_j − β_{j−1} p_{j−1},   β_j q_{j+1} = Rᵀ p_j − α_j q_j,   R ≈ P B Qᵀ
 *
 * Every vector is made orthogonal to all before it, twice, and the last β is kept (B is K × (K+1)): without either, an exhausted
 * left space leaves false pairs. Restarted from `v₁ + v₂` until both pairs hold to the tolerance.
 *
 * Source: Golub & Kahan 1965; Koroko et al. 2022, arXiv:2201.10285.
 * Departs: the authors drop the last β and do not reorthogonalize.
 *
 * @module
 */
import {
  add,
  dispose,
  mul,
  type Scalar,
  slice,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  tensor1d,
  tidy,
} from "@tensorflow/tfjs-core";
import { innerProduct, type LinearAlgebra, scaleEach, type Stack } from "@/linalg/mod.ts";
import type { KroneckerTerms } from "./kpsvd.ts";
import {
  identityStart,
  mixedStart,
  normalized,
  type Rearranged,
  scaledTerm,
  type StoppingRule,
} from "./power_svd.ts";
import { smallSvd } from "./small_svd.ts";

/** Steps between restarts. */
const STEPS = 10;

/** The bidiagonalization of one cycle; `q` has one vector more than `p`. */
interface Cycle {
  readonly p: Stack[];
  readonly q: Stack[];
  /** Diagonal and superdiagonal of B `[b]` each; `alpha` has one more, which tells the residual. */
  readonly alpha: Tensor1D[];
  readonly beta: Tensor1D[];
}

/** Both pairs, each `[b, d, d]` of unit norm, with σ of each block. */
interface Pairs {
  readonly U: Stack[];
  readonly V: Stack[];
  readonly sigma: number[][];
}

/** The two leading terms. Starts are symmetric, so the second is the best symmetric one. */
export async function lanczosSvd(
  R: Rearranged,
  { tolerance, maxIterations }: StoppingRule,
  linalg: LinearAlgebra,
): Promise<KroneckerTerms> {
  // the identity alone may be an exact singular vector, and then nothing is found beside it; of a side of one the mixed
  // start is ±1, and in equal parts they may cancel
  let start: Stack = tidy(() => normalized(add(identityStart(R), mul(mixedStart(R), 0.5))).unit);
  let iterations = 0, best = Infinity, stalled = 0;
  for (;;) {
    const cycle = bidiagonalize(R, start);
    iterations += STEPS;
    const { pairs, residual } = await leadingPairs(cycle, R.groups, linalg);
    dispose([cycle.p, cycle.q, cycle.alpha, cycle.beta] as Tensor[][]);
    stalled = residual < best / 2 ? 0 : stalled + 1;
    best = Math.min(best, residual);
    if (residual <= tolerance || stalled > 1 || iterations + STEPS > maxIterations) {
      const terms = pairs.sigma.map((sigma, i) =>
        scaledTerm(pairs.U[i], pairs.V[i], tensor1d(sigma))
      );
      dispose([pairs.U, pairs.V]);
      return { terms, iterations };
    }
    start = tidy(() => normalized(add(pairs.V[0], pairs.V[1])).unit);
    dispose([pairs.U, pairs.V]);
  }
}

/** One cycle of {@linkcode STEPS} steps; takes over the start. */
function bidiagonalize(R: Rearranged, start: Stack): Cycle {
  const p: Stack[] = [], q: Stack[] = [start], alpha: Tensor1D[] = [], beta: Tensor1D[] = [];
  for (let j = 0; j < STEPS; j++) {
    const left = tidy(() => normalized(orthogonalized(R.forward(q[j]), p)));
    p.push(left.unit);
    alpha.push(left.norm);
    const right = tidy(() => normalized(orthogonalized(R.adjoint(p[j]), q)));
    q.push(right.unit);
    beta.push(right.norm);
  }
  const beyond = tidy(() => normalized(orthogonalized(R.forward(q[STEPS]), p)).norm);
  return { p, q, alpha: [...alpha, beyond], beta };
}

/** `x` without its parts along `basis`, which takes the recurrence's `β p` and `α q` with it; twice, for float32. */
function orthogonalized(x: Stack, basis: readonly Stack[]): Stack {
  for (let round = 0; round < 2; round++) {
    for (const unit of basis) x = sub(x, scaleEach(unit, innerProduct(unit, x)));
  }
  return x;
}

/** The two leading pairs of each block, and the largest relative residual `α_{K+1} |last of v| / σ`. */
async function leadingPairs(
  { p, q, alpha, beta }: Cycle,
  groups: number,
  linalg: LinearAlgebra,
): Promise<{ pairs: Pairs; residual: number }> {
  const scalars = [...alpha, ...beta].flatMap((each) => unstacked(each, groups));
  const numbers = await linalg.numbers(scalars);
  dispose(scalars);
  const at = (i: number, block: number) => numbers[i * groups + block];
  const svds = Array.from({ length: groups }, (_, block) => {
    const B = p.map((_, j) =>
      q.map((_, i) => i === j ? at(j, block) : i === j + 1 ? at(STEPS + 1 + j, block) : 0)
    );
    return smallSvd(B);
  });
  const residual = Math.max(
    ...svds.flatMap(({ values, right }, block) =>
      [0, 1].map((i) =>
        values[0] > 0 ? at(STEPS, block) * Math.abs(right[i][STEPS]) / values[0] : 0
      )
    ),
  );
  const combine = (basis: readonly Stack[], weights: (block: number) => readonly number[]): Stack =>
    tidy(() =>
      basis.map((unit, j) => scaleEach(unit, tensor1d(svds.map((_, block) => weights(block)[j]))))
        .reduce((total, term) => add(total, term))
    );
  const pairs = {
    U: [0, 1].map((i) => combine(p, (block) => svds[block].left[i])),
    V: [0, 1].map((i) => combine(q, (block) => svds[block].right[i])),
    sigma: [0, 1].map((i) => svds.map(({ values }) => values[i])),
  };
  return { pairs, residual };
}

/** The numbers of `[b]` as scalars. */
function unstacked(x: Tensor1D, groups: number): Scalar[] {
  return Array.from({ length: groups }, (_, i) => tidy(() => sum(slice(x, i, 1)) as Scalar));
}
