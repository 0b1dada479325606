/**
 * SOAP: Adam in Shampoo's slowly turning eigenbasis, from gradients alone.
 *
 *   L ← β_s L + (1 − β_s) D Dᵀ,  R likewise;   D' = Q_Lᵀ D Q_R
 *   M ← β₁ M + (1 − β₁) D',   V ← β₂ V + (1 − β₂) D'²
 *   U = √(1 − β₂ᵗ)/(1 − β₁ᵗ) · Q_L [ M / (√V + ε) ] Q_Rᵀ
 *
 * Every f steps the basis is turned by one step of orthogonal iteration, `Q ← qr(L Q)`, its columns in descending order of
 * `diag(Qᵀ L Q)`; M is rotated into the new basis, V only reordered. The first gradient sets the basis and steps nowhere.
 *
 * Source: Vyas et al. 2024, arXiv:2409.11321, Algorithm 3, and the authors' code (nikhilvyas/SOAP).
 *
 * @module
 */
import {
  add,
  dispose,
  div,
  gather,
  matMul,
  mul,
  reverse,
  sqrt,
  square,
  sum,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  type TensorContainer,
  tidy,
  topk,
  zerosLike,
} from "@tensorflow/tfjs-core";
import { addDiagonal, gram, type LinearAlgebra, type Stack, trace } from "@/linalg/mod.ts";
import type { Context } from "./method.ts";
import { average } from "./running_average.ts";
import { secondMoments } from "./shampoo.ts";

export interface SoapState {
  readonly L: Stack;
  readonly R: Stack;
  readonly Q_L: Stack;
  readonly Q_R: Stack;
  /** First and second moment of the gradient in the basis, `[b, d_out, d_in]`. */
  readonly M: Tensor3D;
  readonly V: Tensor3D;
}

export interface SoapOptions {
  readonly beta1: number;
  readonly beta2: number;
  /** β_s of L and R. */
  readonly decay: number;
  readonly epsilon: number;
  /** f: steps between two turns of the basis. */
  readonly every: number;
}

/** The first gradient: `L = (1 − β_s) D Dᵀ`, and the basis of it; no moments yet. The caller disposes all. */
export async function startSoap(
  D: Tensor3D,
  { name, linalg }: Context,
  { decay }: SoapOptions,
): Promise<SoapState> {
  const { L, R } = tidy(() => {
    const first = secondMoments(D);
    return { L: mul<Stack>(first.L, 1 - decay), R: mul<Stack>(first.R, 1 - decay) };
  });
  const [left, right] = await linalg.eigh([
    { name: `${name}.L`, matrix: L },
    { name: `${name}.R`, matrix: R },
  ]);
  const [Q_L, Q_R] = [reverse(left.vectors, 2), reverse(right.vectors, 2)]; // descending
  dispose([left.vectors, left.values, right.vectors, right.values]);
  return { L, R, Q_L, Q_R, M: zerosLike(D), V: zerosLike(D) };
}

/**
 * One step; the caller disposes what it returns.
 *
 * The basis is turned before the step after every f-th, not behind the f-th itself: it is the same, and the state still has
 * what its update was made of.
 *
 * @param t counts steps from 1, the first gradient not among them.
 */
export async function stepSoap(
  last: SoapState,
  D: Tensor3D,
  t: number,
  context: Context,
  options: SoapOptions,
): Promise<{ state: SoapState; update: Tensor3D }> {
  const { beta1, beta2, decay } = options;
  const isDue = turnsBefore(t, options);
  const old = isDue ? await turned(last, context) : last;
  const state = tidy(() => {
    const { Q_L, Q_R } = old;
    const projected = matMul(matMul(Q_L, D, true), Q_R) as Tensor3D;
    const batch = secondMoments(D);
    return {
      L: average(old.L, batch.L, decay),
      R: average(old.R, batch.R, decay),
      Q_L,
      Q_R,
      M: average(old.M, projected, beta1),
      V: average(old.V, square(projected), beta2),
    };
  });
  if (isDue) dispose([old.M, old.V]);
  return { state, update: soapUpdate(state, t, options) };
}

/** Whether the basis is turned before step t. */
export function turnsBefore(t: number, { every }: Pick<SoapOptions, "every">): boolean {
  return t > 1 && (t - 1) % every === 0;
}

/** The update that step t made of this state; zero where `t` is 0. The caller disposes it. */
export function soapUpdate(
  { Q_L, Q_R, M, V }: SoapState,
  t: number,
  { beta1, beta2, epsilon }: SoapOptions,
): Tensor3D {
  return tidy(() => {
    if (t === 0) return zerosLike(M);
    const correction = Math.sqrt(1 - beta2 ** t) / (1 - beta1 ** t);
    const scaled = mul(div<Tensor3D>(M, add(sqrt(V), epsilon)), correction);
    return matMul(matMul(Q_L, scaled), Q_R, false, true);
  });
}

/** The state in its next basis. */
async function turned(state: SoapState, { name, linalg }: Context): Promise<SoapState> {
  const left = ordered(state.L, state.Q_L);
  const right = ordered(state.R, state.Q_R);
  const [Q_L, Q_R] = await orthonormalized(linalg, [
    { name: `${name}.L`, matrix: state.L, Q: left.Q },
    { name: `${name}.R`, matrix: state.R, Q: right.Q },
  ]);
  const next = tidy(() => {
    const M0 = matMul(matMul(state.Q_L, state.M), state.Q_R, false, true); // out of the old basis
    return {
      ...state,
      Q_L,
      Q_R,
      M: matMul(matMul(Q_L, M0 as Tensor3D, true), Q_R) as Tensor3D,
      V: gather(gather(state.V, left.order, 1, 1), right.order, 2, 1),
    };
  });
  dispose([left, right] as TensorContainer);
  return next;
}

/** The basis with its columns in descending order of `diag(Qᵀ M Q)`, and that order `[b, d]`. */
function ordered(M: Stack, Q: Stack): { Q: Stack; order: Tensor2D } {
  return tidy(() => {
    const estimates = sum(mul(Q, matMul(M, Q)), 1) as Tensor2D;
    const { indices } = topk(estimates, estimates.shape[1], true);
    return { Q: gather(Q, indices, 2, 1), order: indices as Tensor2D };
  });
}

/**
 * `qr(M Q).Q` of each pair, by shifted CholeskyQR on columns of unit length: `XᵀX + sI = L Lᵀ`, `X ← X L⁻ᵀ`.
 *
 * Near an eigenbasis the columns of `M Q` are nearly orthogonal and differ in length alone, which the scaling takes away. Far from
 * one, or where M has a null space, they are nearly dependent: a shift above the rounding of the Gram matrix keeps its
 * factorization alive, and every round lifts singular values below √s by 1/√s, from rounding to 1 in three. The last rounds
 * need no shift. A little of Q is added, `(M + δI) Q`, which has the same eigenvectors, so that no column is zero.
 *
 * Source: Fukaya et al. 2020, arXiv:1809.11085.
 */
async function orthonormalized(
  linalg: LinearAlgebra,
  pairs: readonly { name: string; matrix: Stack; Q: Stack }[],
): Promise<Stack[]> {
  const DELTA = 2 ** -20;
  let columns = pairs.map(({ matrix, Q }) =>
    tidy(() => {
      const delta = mul<Tensor1D>(trace(matrix), DELTA / matrix.shape[1]);
      return unitColumns(matMul(addDiagonal(matrix, delta), Q));
    })
  );
  for (let round = 0; round < SHIFTED_ROUNDS + PLAIN_ROUNDS; round++) {
    const grams = columns.map((X) => gram(X, 1));
    const shiftOf = ({ shape: [, d] }: Stack) => round < SHIFTED_ROUNDS ? leastShift(d) : 0;
    const whitened = await linalg.whiten(
      grams.map((matrix, i) => ({ name: pairs[i].name, matrix, shift: shiftOf(matrix) })),
    );
    const next = columns.map((X, i) => matMul(X, whitened[i].whitener, false, true) as Stack);
    dispose([columns, grams, whitened.map(({ whitener }) => whitener)] as TensorContainer);
    columns = next;
  }
  return columns;
}

const SHIFTED_ROUNDS = 4, PLAIN_ROUNDS = 2;

/** s for a Gram matrix with 1 on its diagonal: above its rounding, of which d·2⁻²⁴ is the most. */
function leastShift(d: number): number {
  return 2 ** -16 + 4 * d * 2 ** -24;
}

function unitColumns(X: Tensor3D): Stack {
  return tidy(() => div(X, add(sqrt(sum(square(X), 1, true)), 1e-38)));
}
