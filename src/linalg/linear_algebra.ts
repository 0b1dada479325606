/**
 * The linear algebra that TensorFlow.js lacks, as one interface with an implementation for each engine.
 *
 * Every operation takes a list of problems and answers a list of results, because layers come many at
 * a time: equal sizes go to the device together, and no result depends on what else was in the list. A
 * problem holds a {@linkcode Stack}, symmetric matrices of one size along a leading axis (the groups
 * of a convolution; 1 for everything else).
 *
 * Results are recorded, not awaited: on WebGPU a promise resolves as soon as the passes are submitted,
 * and whether a result met its bound is known only when the work is read back. So an implementation
 * lives as long as one piece of work and `settle()` (settle.ts) judges it at the end. On the cpu engine a
 * promise resolves with a result already judged.
 *
 * @module
 */
import type { Float64 } from "@/engine/mod.ts";
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tensor3D } from "@tensorflow/tfjs-core";

/** Square matrices of one size, `[b, d, d]`. */
export type Stack = Tensor3D;

/** What is known of one result matrix; filled in when the work it belongs to is settled. */
export interface Report {
  /** `‖XM − I‖_F/√d` of an inverse or root (`‖Xᵖ M − I‖`), `‖MQ − QΛ‖_F/‖M‖_F` of eigenvectors. */
  residual: number;
  /** `‖QᵀQ − I‖_F/√d`, of eigenvectors only. */
  orthogonality?: number;
  /** Estimated condition number of the (shifted) matrix. */
  condition: number;
  /** Multiple of the identity that was added. */
  damping?: number;
  /** Eigenvalues in [−τ, 0) that counted as zero. */
  clipped?: number;
  /** Eigenvalues below zero, of eigenvectors only. */
  negative?: number;
  /** Jacobi sweeps or Newton steps taken; 0 by a way without any. */
  sweeps?: number;
  /** What computed it in the end. */
  engine: "webgpu" | "blas" | "built-in" | "float64";
}

/** A stack of symmetric matrices to work on. Inputs are never changed nor disposed. */
export interface SymmetricProblem {
  /** Whose matrix this is, for error messages only (`fc1 A`). */
  readonly name: string;
  readonly matrix: Stack;
  /**
   * τ ≥ 0 of each matrix of the stack: an eigenvalue below −τ is an error, one in [−τ, 0) counts as zero. Absent
   * where the matrix is positive semidefinite by construction (a Gram matrix), and where eigenvalues may
   * have any sign.
   */
  readonly negativeTolerance?: readonly number[];
}

export interface ShiftedProblem extends SymmetricProblem {
  /** What is added to the diagonal: one number for all, one a matrix, or a tensor `[b]` computed on the device. */
  readonly shift: number | readonly number[] | Tensor1D;
}

export interface EighProblem extends SymmetricProblem {
  /** A previous eigenbasis `[b, d, d]`: close to the answer, it saves most of the work. */
  readonly warmStart?: Stack;
}

export interface RootProblem extends SymmetricProblem {
  readonly shift: number;
  /** p ≥ 1 of `(M + shift·I)^(−1/p)`. */
  readonly root: number;
}

export interface InverseResult {
  /** `(M + shift·I)⁻¹ [b, d, d]`, symmetric to the bit; the caller disposes it. */
  readonly inverse: Stack;
  /** One a matrix of the stack. */
  readonly reports: Report[];
}

export interface WhitenerResult {
  /** `L⁻¹ [b, d, d]`, lower triangular (zeros above), with `M + shift·I = L Lᵀ`; the caller disposes it. */
  readonly whitener: Stack;
  readonly reports: Report[];
}

export interface EighResult {
  /** `Q [b, d, d]`, eigenvectors in columns; the caller disposes it. */
  readonly vectors: Stack;
  /** `[b, d]`, ascending, unclipped; the caller disposes it. */
  readonly values: Tensor2D;
  readonly reports: Report[];
}

export interface RootResult {
  /** `(M + shift·I)^(−1/p) [b, d, d]`, symmetric to the bit; the caller disposes it. */
  readonly root: Stack;
  readonly reports: Report[];
}

/** One piece of work's view of an engine's linear algebra. */
export interface LinearAlgebra {
  /** `true`: residuals and orthogonality are computed exactly (n³), not from a few random ±1 vectors. */
  readonly verifyFully: boolean;
  /** Exact host arithmetic, for small problems that must not cancel. */
  readonly float64: Float64;

  /** `(M + shift·I)⁻¹` by Cholesky. @throws CurvdError `not-positive-definite`, at once or when settled. */
  choleskyInverse(
    problems: readonly ShiftedProblem[],
  ): Promise<InverseResult[]>;

  /** `L⁻¹` of `M + shift·I = L Lᵀ`. @throws CurvdError `not-positive-definite`, at once or when settled. */
  whiten(problems: readonly ShiftedProblem[]): Promise<WhitenerResult[]>;

  /** Eigenvalues and eigenvectors. @throws CurvdError `not-converged`, or `not-positive-definite` below −τ. */
  eigh(problems: readonly EighProblem[]): Promise<EighResult[]>;

  /** `(M + shift·I)^(−1/p)`. @throws CurvdError as {@linkcode LinearAlgebra.choleskyInverse}. */
  inverseRoot(problems: readonly RootProblem[]): Promise<RootResult[]>;

  /** Numbers the host must know in the middle of work (a stopping rule). One wait a call: use sparingly. */
  numbers(scalars: readonly Scalar[]): Promise<number[]>;

  /** Values the host goes on with in float64. One wait a call; the tensors stay alive. */
  read(tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>[]>;
}
