/**
 * How far a symmetric matrix has moved from what was made of it: whether to make it anew.
 *
 *   of an eigenbasis:   ‖offdiag(QᵀMQ)‖_F / ‖M‖_F = ‖MQ − Q diag(QᵀMQ)‖_F / ‖M‖_F
 *   of eigenpairs:      ‖MQ − QΛ‖_F / ‖M‖_F
 *   of anything else:   ‖M − M₀‖_F / ‖M₀‖_F
 *
 * The right-hand sides take one product (2d³ of the 9d³ and more of an eigendecomposition), and nothing is lost to
 * cancellation, as it would be in `‖M‖² − ‖diag‖²`.
 *
 * @module
 */
import {
  div,
  equal,
  expandDims,
  matMul,
  mul,
  reshape,
  sub,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  tidy,
  where,
  zerosLike,
} from "@tensorflow/tfjs-core";
import type { Stack } from "./linear_algebra.ts";
import { frobeniusNorm } from "./matrix.ts";

/**
 * The share of M that its old eigenbasis does not diagonalise, in [0, 1].
 *
 * @param M `[b, d, d]`, symmetric. @param Q `[b, d, d]`, orthogonal, eigenvectors in columns.
 * @param values `[b, d]`: eigenvalues that are held on to as well; then what they have moved counts too.
 * @returns `[b]`, 0 of a zero matrix; the caller disposes it.
 */
export function basisDrift(M: Stack, Q: Stack, values?: Tensor2D): Tensor1D {
  return tidy(() => {
    const MQ: Tensor3D = matMul(M, Q);
    const onto = values ?? sum<Tensor2D>(mul(Q, MQ), 1); // diag(QᵀMQ)
    const residual: Tensor3D = sub(MQ, mul(Q, expandDims(onto, 1)));
    return relative(frobeniusNorm(residual), frobeniusNorm(M));
  });
}

/** `‖X − X₀‖/‖X₀‖` of each matrix of a stack, or of a tensor that is none; 0 where both are zero. The caller disposes it. */
export function relativeChange(X: Tensor, X0: Tensor): Tensor1D {
  return tidy(() => {
    const stacked = (of: Tensor): Tensor3D =>
      of.rank === 3 ? of as Tensor3D : reshape(of, [1, 1, of.size]);
    const [moved, from] = [stacked(sub(X, X0)), stacked(X0)];
    return relative(frobeniusNorm(moved), frobeniusNorm(from));
  });
}

function relative(size: Tensor1D, whole: Tensor1D): Tensor1D {
  return where(equal(size, 0), zerosLike(size), div(size, whole));
}
