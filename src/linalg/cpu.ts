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
import { CpuEngine, type Engine } from "@/engine/mod.ts";
import { invert } from "./cholesky_inverse_cpu.ts";
import { decompose } from "./eigh_cpu.ts";
import { invertRoot } from "./inverse_root_cpu.ts";
import type {
  EighProblem,
  EighResult,
  InverseResult,
  RootProblem,
  RootResult,
  ShiftedProblem,
  SymmetricProblem,
  WhitenerResult,
} from "./linear_algebra.ts";
import type { JudgedLinearAlgebra, WorkOptions } from "./select.ts";
import type { Host, HostMatrix, ShiftedMatrix, Solved } from "./solver_cpu.ts";
import { whiten } from "./whiten_cpu.ts";

export class CpuLinearAlgebra implements JudgedLinearAlgebra {
  readonly verifyFully: boolean;
  readonly #host: Host;

  constructor(engine: Engine, { verifyFully }: WorkOptions) {
    this.verifyFully = verifyFully;
    const blas = engine instanceof CpuEngine ? engine.blas : null;
    this.#host = { blas, float64: engine.float64, verifyFully };
  }

  choleskyInverse(problems: readonly ShiftedProblem[]): Promise<InverseResult[]> {
    return this.#eachShifted(problems, invert, (inverse, reports) => ({ inverse, reports }));
  }

  whiten(problems: readonly ShiftedProblem[]): Promise<WhitenerResult[]> {
    return this.#eachShifted(problems, whiten, (whitener, reports) => ({ whitener, reports }));
  }

  eigh(problems: readonly EighProblem[]): Promise<EighResult[]> {
    return Promise.all(problems.map(async (problem) => {
      const [b, d] = problem.matrix.shape;
      const matrices = matricesOf(problem);
      const solved = await Promise.all(matrices.map((each) => decompose(this.#host, each)));
      return {
        vectors: stackOf(solved.map(({ vectors }) => vectors), d),
        values: tensor2d(joined(solved.map(({ values }) => values)), [b, d]),
        reports: solved.map(({ report }) => report),
      };
    }));
  }

  inverseRoot(problems: readonly RootProblem[]): Promise<RootResult[]> {
    return Promise.all(problems.map(async (problem) => {
      const { shift, root } = problem;
      const solved = await Promise.all(
        matricesOf(problem).map((each) => invertRoot(this.#host, { ...each, shift, root })),
      );
      return {
        root: stackOf(solved.map(({ result }) => result), problem.matrix.shape[1]),
        reports: solved.map(({ report }) => report),
      };
    }));
  }

  async numbers(scalars: readonly Scalar[]): Promise<number[]> {
    const values = await Promise.all(scalars.map((scalar) => scalar.data()));
    return values.map(([value]) => value);
  }

  /** None: every result was judged before its promise resolved. */
  statuses(): Tensor[] {
    return [];
  }

  judge(): string[] {
    return [];
  }

  #eachShifted<R>(
    problems: readonly ShiftedProblem[],
    solve: (host: Host, matrix: ShiftedMatrix) => Promise<Solved>,
    result: (stack: Tensor3D, reports: Solved["report"][]) => R,
  ): Promise<R[]> {
    return Promise.all(problems.map(async (problem) => {
      const shifts = await shiftsOf(problem);
      const solved = await Promise.all(
        matricesOf(problem).map((each, at) => solve(this.#host, { ...each, shift: shifts[at] })),
      );
      const stack = stackOf(solved.map(({ result }) => result), problem.matrix.shape[1]);
      return result(stack, solved.map(({ report }) => report));
    }));
  }
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
