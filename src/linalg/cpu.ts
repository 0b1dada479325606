/**
 * The linear algebra of the cpu engine: every matrix of every problem for itself, judged at once.
 *
 * The engine's crew decides which run side by side and on which threads. No result depends on what else was in the list.
 *
 * @module
 */
import {
  type Scalar,
  type Tensor,
  tensor,
  type Tensor2D,
  type Tensor3D,
} from "@tensorflow/tfjs-core";
import type { CpuEngine, Float64 } from "@/engine/mod.ts";
import { type Crew, crewOf, type Operation, type Solutions } from "./crew/mod.ts";
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
import type { HostMatrix, Solved } from "./solver_cpu.ts";

type AnyProblem = SymmetricProblem & Partial<ShiftedProblem> & { readonly root?: number };

export class CpuLinearAlgebra implements LinearAlgebra {
  readonly verifyFully: boolean;
  readonly float64: Float64;
  readonly #crew: Crew;

  readonly #keepsNothing: boolean;

  constructor(
    private readonly engine: CpuEngine,
    { verifyFully, keepsNothing = false }: WorkOptions,
  ) {
    this.verifyFully = verifyFully;
    this.#keepsNothing = keepsNothing;
    this.float64 = engine.float64;
    this.#crew = crewOf(engine);
  }

  async choleskyInverse(problems: readonly ShiftedProblem[]): Promise<InverseResult[]> {
    const solved = await this.#everyMatrix("inverse", problems);
    return this.#stacked(problems, solved).map(({ stack, reports }) => ({
      inverse: stack,
      reports,
    }));
  }

  async whiten(problems: readonly ShiftedProblem[]): Promise<WhitenerResult[]> {
    const solved = await this.#everyMatrix("whitener", problems);
    return this.#stacked(problems, solved).map(({ stack, reports }) => ({
      whitener: stack,
      reports,
    }));
  }

  async eigh(problems: readonly EighProblem[]): Promise<EighResult[]> {
    const solved = await this.#everyMatrix("eigh", problems);
    return problems.map(({ matrix: { shape: [b, d] } }, at) => ({
      vectors: this.#tensorOf(solved[at].map(({ vectors }) => vectors), [b, d, d]) as Tensor3D,
      values: this.#tensorOf(solved[at].map(({ values }) => values), [b, d]) as Tensor2D,
      reports: solved[at].map(({ report }) => report),
    }));
  }

  async inverseRoot(problems: readonly RootProblem[]): Promise<RootResult[]> {
    const solved = await this.#everyMatrix("root", problems);
    return this.#stacked(problems, solved).map(({ stack, reports }) => ({ root: stack, reports }));
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
  #everyMatrix<O extends Operation>(
    operation: O,
    problems: readonly AnyProblem[],
  ): Promise<Solutions[O][][]> {
    const { verifyFully } = this;
    return allOf(problems.map((problem) => {
      const shifts = shiftsOf(problem);
      const { root = 1 } = problem;
      return allOf(
        matricesOf(problem).map((matrix, at) =>
          this.#crew.solve({ operation, matrix, shift: shifts[at], root, verifyFully })
        ),
      );
    }));
  }

  #stacked(
    problems: readonly SymmetricProblem[],
    solved: readonly (readonly Solved[])[],
  ): { stack: Tensor3D; reports: Report[] }[] {
    return problems.map(({ matrix: { shape } }, at) => ({
      stack: this.#tensorOf(solved[at].map(({ result }) => result), shape) as Tensor3D,
      reports: solved[at].map(({ report }) => report),
    }));
  }

  /** A single result becomes the tensor's memory. */
  #tensorOf(results: readonly Float32Array<ArrayBuffer>[], shape: readonly number[]): Tensor {
    const values = joined(results);
    // a slice that is kept would be a view of memory that has gone elsewhere
    return this.#keepsNothing ? this.engine.adopt(values, [...shape]) : tensor(values, [...shape]);
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

/** One for each matrix; 0 where nothing is added. */
function shiftsOf({ matrix, shift = 0 }: AnyProblem): readonly number[] {
  if (typeof shift === "number") return Array<number>(matrix.shape[0]).fill(shift);
  return "dataSync" in shift ? [...shift.dataSync<"float32">()] : shift;
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
