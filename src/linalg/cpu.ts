/**
 * The linear algebra of the cpu engine: every matrix of every problem for itself, judged at once.
 *
 * Small matrices run side by side and large ones alone with all cores; the BLAS's thread gate sees to it, so here all are
 * simply started. No result depends on what else was in the list.
 *
 * @module
 */
import {
  type Scalar,
  type Tensor,
  type Tensor1D,
  tensor2d,
  type Tensor3D,
  tensor3d,
} from "@tensorflow/tfjs-core";
import { CpuEngine, type Engine, type Float64, float64Within, type Lane } from "@/engine/mod.ts";
import { invert } from "./cholesky_inverse_cpu.ts";
import { decompose } from "./eigh_cpu.ts";
import { invertRoot } from "./inverse_root_cpu.ts";
import type {
  EighProblem,
  EighResult,
  InverseResult,
  LinearAlgebra,
  Report,
  RootProblem,
  RootResult,
  ShiftedProblem,
  SymmetricProblem,
  WhitenerResult,
} from "./linear_algebra.ts";
import type { WorkOptions } from "./sitting.ts";
import type { Host, HostMatrix, ShiftedMatrix, Solved } from "./solver_cpu.ts";
import { whiten } from "./whiten_cpu.ts";

export class CpuLinearAlgebra implements LinearAlgebra {
  readonly verifyFully: boolean;
  readonly float64: Float64;
  readonly #host: Omit<Host, "lane">;

  constructor(private readonly engine: Engine, { verifyFully }: WorkOptions) {
    this.verifyFully = verifyFully;
    this.float64 = engine.float64;
    const blas = engine instanceof CpuEngine ? engine.blas : null;
    const float64 = blas === null ? engine.float64 : float64Within(blas);
    this.#host = { blas, float64, verifyFully };
  }

  async choleskyInverse(problems: readonly ShiftedProblem[]): Promise<InverseResult[]> {
    const solved = await this.#shifted(problems, invert);
    return solved.map(({ stack, reports }) => ({ inverse: stack, reports }));
  }

  async whiten(problems: readonly ShiftedProblem[]): Promise<WhitenerResult[]> {
    const solved = await this.#shifted(problems, whiten);
    return solved.map(({ stack, reports }) => ({ whitener: stack, reports }));
  }

  async eigh(problems: readonly EighProblem[]): Promise<EighResult[]> {
    const solved = await this.#everyMatrix(problems, decompose);
    return problems.map(({ matrix: { shape: [b, d] } }, at) => ({
      vectors: stackOf(solved[at].map(({ vectors }) => vectors), d),
      values: tensor2d(joined(solved[at].map(({ values }) => values)), [b, d]),
      reports: solved[at].map(({ report }) => report),
    }));
  }

  async inverseRoot(problems: readonly RootProblem[]): Promise<RootResult[]> {
    const solved = await this.#everyMatrix(
      problems,
      (host, matrix, { shift, root }) => invertRoot(host, { ...matrix, shift, root }),
    );
    return problems.map(({ matrix }, at) => ({
      root: stackOf(solved[at].map(({ result }) => result), matrix.shape[1]),
      reports: solved[at].map(({ report }) => report),
    }));
  }

  read(tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>[]> {
    return this.engine.read(tensors);
  }

  async numbers(scalars: readonly Scalar[]): Promise<number[]> {
    const values = await Promise.all(scalars.map((scalar) => scalar.data()));
    return values.map(([value]) => value);
  }

  /**
   * Solves every matrix of every problem, each with the threads that belong to its size. All are waited for, also when one
   * is refused: the libraries are then at rest, no tensor was made, and the refusal is the first in the order of the list.
   */
  #everyMatrix<P extends SymmetricProblem, R>(
    problems: readonly P[],
    solve: (host: Host, matrix: HostMatrix, problem: P, index: number, at: number) => Promise<R>,
  ): Promise<R[][]> {
    const { blas } = this.#host;
    return allOf(problems.map((problem, index) =>
      allOf(
        matricesOf(problem).map((matrix, at) => {
          const work = (lane: Lane) => solve({ ...this.#host, lane }, matrix, problem, index, at);
          return blas === null ? work("here") : blas.during(matrix.d, work);
        }),
      )
    ));
  }

  async #shifted(
    problems: readonly ShiftedProblem[],
    solve: (host: Host, matrix: ShiftedMatrix) => Promise<Solved>,
  ): Promise<{ stack: Tensor3D; reports: Report[] }[]> {
    const shifts = await Promise.all(problems.map(shiftsOf));
    const solved = await this.#everyMatrix(
      problems,
      (host, matrix, _, problem, at) => solve(host, { ...matrix, shift: shifts[problem][at] }),
    );
    return problems.map(({ matrix }, at) => ({
      stack: stackOf(solved[at].map(({ result }) => result), matrix.shape[1]),
      reports: solved[at].map(({ report }) => report),
    }));
  }
}

async function allOf<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const outcomes = await Promise.allSettled(promises);
  return outcomes.map((outcome) => {
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  });
}

/** The matrices of a stack, not copied. */
function matricesOf({ name, matrix, negativeTolerance }: SymmetricProblem): HostMatrix[] {
  const [b, d] = matrix.shape;
  const values = matrix.dataSync<"float32">() as Float32Array<ArrayBuffer>;
  return Array.from({ length: b }, (_, at) => ({
    name: b === 1 ? name : `${name} [${at}]`,
    matrix: values.subarray(at * d * d, (at + 1) * d * d),
    d,
    negativeTolerance: negativeTolerance?.[at],
  }));
}

async function shiftsOf({ matrix, shift }: ShiftedProblem): Promise<number[]> {
  if (typeof shift === "number") return Array<number>(matrix.shape[0]).fill(shift);
  return [...await (shift as Tensor1D).data()];
}

/** `[b, d, d]`; a single matrix becomes the tensor's memory. */
function stackOf(matrices: readonly Float32Array<ArrayBuffer>[], d: number): Tensor3D {
  return tensor3d(joined(matrices), [matrices.length, d, d]);
}

function joined(parts: readonly Float32Array<ArrayBuffer>[]): Float32Array<ArrayBuffer> {
  if (parts.length === 1) return parts[0];
  const whole = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
