/**
 * One matrix to work on, and the operations by their names, so that work can be sent to another thread.
 *
 * @module
 */
import { invert } from "../cholesky_inverse_cpu.ts";
import { decompose, type SolvedEigh } from "../eigh_cpu.ts";
import { invertRoot } from "../inverse_root_cpu.ts";
import type { Host, HostMatrix, Solved } from "../solver_cpu.ts";
import { whiten } from "../whiten_cpu.ts";

/** What each operation answers. */
export interface Solutions {
  readonly inverse: Solved;
  readonly whitener: Solved;
  readonly root: Solved;
  readonly eigh: SolvedEigh;
}

export type Operation = keyof Solutions;

export interface Task<O extends Operation = Operation> {
  readonly operation: O;
  readonly matrix: HostMatrix;
  /** Multiple of the identity to add; of eigenvectors none. */
  readonly shift: number;
  /** p of a root. */
  readonly root: number;
  readonly verifyFully: boolean;
}

/** Where a task is solved. */
export type Workplace = Omit<Host, "verifyFully">;

/** Solves a task. @throws CurvdError as the operations do. */
export async function solve<O extends Operation>(
  workplace: Workplace,
  { operation, matrix, shift, root, verifyFully }: Task<O>,
): Promise<Solutions[O]> {
  const host: Host = { ...workplace, verifyFully };
  const solutions: { [P in Operation]: () => Promise<Solutions[P]> } = {
    inverse: () => invert(host, { ...matrix, shift }),
    whitener: () => whiten(host, { ...matrix, shift }),
    root: () => invertRoot(host, { ...matrix, shift, root }),
    eigh: () => decompose(host, matrix),
  };
  return await solutions[operation]();
}

/**
 * Milliseconds that a task takes with a BLAS on one core, to divide work by: what it is in proportion to others matters.
 *
 * Up to 512, where work is divided, time grows by the square of the side rather than by its cube, as products become more
 * efficient. Measured on a core of an AMD EPYC, OpenBLAS: eigh 64 0.17, 256 2.8, 512 12; inverse 64 0.033, 256 0.47, 512 2.3.
 */
export function estimatedMs({ operation, matrix: { d } }: Task): number {
  return d * d * MS_PER_ENTRY[operation];
}

const MS_PER_ENTRY: Record<Operation, number> = {
  inverse: 8e-6,
  whitener: 8e-6,
  root: 5e-5,
  eigh: 4.2e-5,
};
