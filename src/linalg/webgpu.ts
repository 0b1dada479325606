/**
 * The linear algebra of the WebGPU engine: recorded at once, judged when the work is read.
 *
 * The matrices of a call join those of others in batches of one padded side (recorder_webgpu.ts). A
 * matrix that missed its bound is, when the work runs again, left out of its batch and solved in
 * float64 on the host.
 *
 * @module
 */
import { dispose, type Scalar, type Tensor, type Tensor1D } from "@tensorflow/tfjs-core";
import type { Float64, WebGpuEngine } from "@/engine/mod.ts";
import { isEighGood, isInverseGood, isRootGood } from "./bounds.ts";
import {
  choleskyInverse,
  type FactorMember,
  type FactorOptions,
  factorSide,
} from "./cholesky_inverse/cholesky_inverse_webgpu.ts";
import { eigh, type EighMember, eighSide, takesWarmStart } from "./eigh/eigh_webgpu.ts";
import "./gram/gram_webgpu.ts";
import "./matmul/symmetric_product_webgpu.ts";
import { inverseRoot, isDeviceRoot, type RootMember } from "./inverse_root/inverse_root_webgpu.ts";
import type {
  EighProblem,
  EighResult,
  InverseResult,
  LinearAlgebra,
  Report,
  RootProblem,
  RootResult,
  ShiftedProblem,
  Stack,
  SymmetricProblem,
  WhitenerResult,
} from "./linear_algebra.ts";
import "./matmul/batch_matmul_webgpu.ts";
import type { MatrixState } from "./padded/state_webgpu.ts";
import "./root_ratio/root_ratio_webgpu.ts";
import type { SizeClass } from "./padded/padded_webgpu.ts";
import type { BatchRecorder, Judged } from "./recorder_webgpu.ts";
import { type Rescue, rescueEigh, rescueInverse, rescueRoot, rescueWhitener } from "./rescue.ts";
import type { WorkOptions } from "./sitting.ts";

/** One matrix of a problem on its way through an operation. */
interface Case<P extends SymmetricProblem, R> {
  /** What `judge()` calls it: the same in each run of the work. */
  readonly key: string;
  readonly problem: P;
  readonly result: R;
  /** Place in the stack. */
  readonly index: number;
  /** Filled in when judged, or rescued. */
  readonly report: Report;
}

/** A result of `2^exponent·magnitude` in float32 is finite with room for its largest entry. */
const LARGEST_NORM = 2 ** 127;

/** One piece of work's. What it asks is recorded when the recorder is flushed. */
export class WebGpuLinearAlgebra implements LinearAlgebra {
  readonly verifyFully: boolean;
  readonly float64: Float64;
  readonly #engine: WebGpuEngine;
  readonly #recorder: BatchRecorder;
  readonly #rescued: ReadonlySet<string>;
  readonly #timesAsked = new Map<string, number>();

  constructor(
    engine: WebGpuEngine,
    recorder: BatchRecorder,
    { rescued, verifyFully }: WorkOptions,
  ) {
    this.#engine = engine;
    this.#recorder = recorder;
    this.#rescued = rescued;
    this.verifyFully = verifyFully;
    this.float64 = engine.float64;
  }

  async choleskyInverse(problems: readonly ShiftedProblem[]): Promise<InverseResult[]> {
    const results = problems.map(({ matrix }) => ({
      inverse: this.#empty<Stack>(matrix.shape),
      reports: [],
    }));
    return await this.#factor(
      "inverse",
      problems,
      results,
      ({ inverse }) => inverse,
      rescueInverse,
    );
  }

  async whiten(problems: readonly ShiftedProblem[]): Promise<WhitenerResult[]> {
    const results = problems.map(({ matrix }) => ({
      whitener: this.#empty<Stack>(matrix.shape),
      reports: [],
    }));
    return await this.#factor(
      "whitener",
      problems,
      results,
      ({ whitener }) => whitener,
      rescueWhitener,
    );
  }

  async eigh(problems: readonly EighProblem[]): Promise<EighResult[]> {
    const results: EighResult[] = problems.map(({ matrix }) => ({
      vectors: this.#empty<Stack>(matrix.shape),
      values: this.#empty<EighResult["values"]>(matrix.shape.slice(0, 2)),
      reports: [],
    }));
    const record = (cases: readonly Case<EighProblem, EighResult>[]) => {
      const members = cases.map(({ key, problem, result, index, report }): EighMember & Judged => ({
        owner: this,
        key,
        problem,
        index,
        matrix: problem.matrix,
        shift: 0,
        warmStart: takesWarmStart(this.#engine, problem.matrix.shape[1])
          ? problem.warmStart
          : undefined,
        vectors: result.vectors,
        values: result.values,
        judge: (state) => judgeEigh(state, problem.negativeTolerance?.[index], report),
      }));
      const [warm, cold] = [true, false].map((isWarm) =>
        members.filter(({ warmStart }) => (warmStart !== undefined) === isWarm)
      );
      const options = { verifyFully: this.verifyFully };
      for (const [start, part] of Object.entries({ warm, cold })) {
        this.#record(
          `eigh ${start}`,
          part,
          (sizeClass) => eigh(this.#engine, sizeClass, options),
          eighSide,
        );
      }
    };
    const rescue = async (
      { result, report, index }: Case<EighProblem, EighResult>,
      lost: Rescue,
    ) => {
      const { vectors, values, report: found } = await rescueEigh(this.#engine.float64, lost);
      this.#engine.write(result.vectors, vectors, index * lost.d * lost.d);
      this.#engine.write(result.values, values, index * lost.d);
      Object.assign(report, found);
    };
    return await this.#solve("eigh", problems, results, record, rescue);
  }

  async inverseRoot(problems: readonly RootProblem[]): Promise<RootResult[]> {
    if (problems.length > 0 && problems.every(({ root }) => root === 1)) {
      const results = await this.choleskyInverse(problems);
      return results.map(({ inverse, reports }) => ({ root: inverse, reports }));
    }
    const results: RootResult[] = problems.map(({ matrix }) => ({
      root: this.#empty<Stack>(matrix.shape),
      reports: [],
    }));
    const record = (cases: readonly Case<RootProblem, RootResult>[]) => {
      for (const [root, ofRoot] of Map.groupBy(cases, ({ problem }) => problem.root)) {
        const members = ofRoot.map((each): RootMember & Judged => ({
          owner: this,
          key: each.key,
          problem: each.problem,
          index: each.index,
          matrix: each.problem.matrix,
          shift: each.problem.shift,
          target: each.result.root,
          judge: (state) => judgeRoot(state, root, each.report),
        }));
        const options = { root, verifyFully: this.verifyFully };
        this.#record(
          `root ${root}`,
          members,
          (sizeClass) => inverseRoot(this.#engine, sizeClass, options),
        );
        this.#recordTolerance(ofRoot);
      }
    };
    const rescue = async (each: Case<RootProblem, RootResult>, lost: Rescue) => {
      const { shift, root } = each.problem;
      const { result, report } = await rescueRoot(this.#engine.float64, { ...lost, shift, root });
      this.#engine.write(each.result.root, result, each.index * lost.d * lost.d);
      Object.assign(each.report, report);
    };
    return this.#solve(
      "root",
      problems,
      results,
      record,
      rescue,
      ({ root }) => !isDeviceRoot(root),
    );
  }

  read(tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>[]> {
    return this.#engine.read(tensors);
  }

  async numbers(scalars: readonly Scalar[]): Promise<number[]> {
    return (await this.#engine.read(scalars)).map(([value]) => value);
  }

  /** Inverses and whiteners. */
  #factor<R extends { reports: Report[] }>(
    kind: "inverse" | "whitener",
    problems: readonly ShiftedProblem[],
    results: R[],
    targetOf: (result: R) => Stack,
    rescueIt: typeof rescueInverse,
  ): Promise<R[]> {
    const options: FactorOptions = { result: kind, verifyFully: this.verifyFully };
    const record = (cases: readonly Case<ShiftedProblem, R>[]) => {
      const members = cases.map((
        { key, problem, result, index, report },
      ): FactorMember & Judged => ({
        owner: this,
        key,
        problem,
        index,
        matrix: problem.matrix,
        shift: shiftOf(problem, index),
        target: targetOf(result),
        judge: (state) => judgeInverse(state, report),
      }));
      const all = [...members, ...this.#toleranceMembers(cases)];
      this.#record(
        kind,
        all,
        (sizeClass) => choleskyInverse(this.#engine, sizeClass, options),
        factorSide(options),
      );
    };
    const rescue = async (
      { problem, result, index, report }: Case<ShiftedProblem, R>,
      lost: Rescue,
    ) => {
      const known = shiftOf(problem, index);
      const shift = typeof known === "number"
        ? known
        : (await this.#engine.read([known]))[0][index];
      const { result: found, report: facts } = await rescueIt(this.#engine.float64, {
        ...lost,
        shift,
      });
      this.#engine.write(targetOf(result), found, index * lost.d * lost.d);
      Object.assign(report, facts);
    };
    return this.#solve(kind, problems, results, record, rescue);
  }

  /** Factors `M + τI` where nothing else would notice an eigenvalue below −τ. */
  #recordTolerance<R>(cases: readonly Case<ShiftedProblem, R>[]): void {
    const options: FactorOptions = { result: "inverse", verifyFully: false };
    this.#record(
      "tolerance",
      this.#toleranceMembers(cases),
      (sizeClass) => choleskyInverse(this.#engine, sizeClass, options),
      factorSide(options),
    );
  }

  /**
   * The way of every operation: what is fresh is recorded, what was lost is solved in float64.
   * @param isHostOnly problems that never go to the device.
   */
  async #solve<P extends SymmetricProblem, R extends { reports: Report[] }>(
    kind: string,
    problems: readonly P[],
    results: R[],
    record: (cases: readonly Case<P, R>[]) => void,
    rescue: (lost: Case<P, R>, matrix: Rescue) => Promise<void>,
    isHostOnly: (problem: P) => boolean = () => false,
  ): Promise<R[]> {
    const cases = problems.flatMap((problem, at) => this.#casesOf(kind, problem, results[at]));
    const isLost = ({ key, problem }: Case<P, R>) => this.#rescued.has(key) || isHostOnly(problem);
    try {
      record(cases.filter((each) => !isLost(each)));
      for (const [problem, lost] of Map.groupBy(cases.filter(isLost), ({ problem }) => problem)) {
        const { name, matrix, negativeTolerance } = problem;
        const [b, d] = matrix.shape;
        const [values] = await this.#engine.read([matrix]);
        for (const each of lost) {
          await rescue(each, {
            name: b === 1 ? name : `${name} [${each.index}]`,
            matrix: values.subarray(each.index * d * d, (each.index + 1) * d * d),
            d,
            negativeTolerance: negativeTolerance?.[each.index],
          });
        }
      }
    } catch (error) {
      for (const result of results) dispose(tensorsOf(result));
      throw error;
    }
    return results;
  }

  #casesOf<P extends SymmetricProblem, R extends { reports: Report[] }>(
    kind: string,
    problem: P,
    result: R,
  ): Case<P, R>[] {
    const asked = `${kind} ${problem.name}`;
    const time = this.#timesAsked.get(asked) ?? 0;
    this.#timesAsked.set(asked, time + 1);
    return Array.from({ length: problem.matrix.shape[0] }, (_, index) => {
      const report: Report = { residual: NaN, condition: NaN, engine: "webgpu" };
      result.reports.push(report);
      return { key: `${asked} #${time} [${index}]`, problem, result, index, report };
    });
  }

  /** Joins others' members of the kind, when the round is recorded. */
  #record<M extends Judged>(
    kind: string,
    members: readonly M[],
    run: (sizeClass: SizeClass<M>) => Tensor,
    sideOf?: (d: number) => number,
  ): void {
    this.#recorder.add(`${kind}${this.verifyFully ? " verified" : ""}`, members, run, sideOf);
  }

  /** One for each case whose shift could hide an eigenvalue below −τ. */
  #toleranceMembers<R>(cases: readonly Case<ShiftedProblem, R>[]): (Judged & FactorMember)[] {
    return cases.flatMap(({ key, problem, index }) => {
      const tolerance = problem.negativeTolerance?.[index];
      if (tolerance === undefined) return [];
      const shift = shiftOf(problem, index);
      if (typeof shift === "number" && shift <= tolerance) return [];
      return [{
        owner: this,
        key,
        isCheck: true,
        problem,
        index,
        matrix: problem.matrix,
        shift: tolerance,
        judge: ({ failed }) => failed === 0,
      }];
    });
  }

  #empty<T extends Tensor>(shape: number[]): T {
    return this.#engine.emptyTensor(shape) as unknown as T;
  }
}

/** What is added to one matrix of a problem's stack; a tensor has it at that index. */
function shiftOf({ shift }: ShiftedProblem, index: number): number | Tensor1D {
  return Array.isArray(shift) ? shift[index] : shift as number | Tensor1D;
}

function judgeInverse(state: MatrixState, report: Report): boolean {
  const { size, shift, failed, residual, condition } = state;
  Object.assign(report, { residual, condition, damping: shift });
  return failed === 0 && isInverseGood(state, size) && fits(state, 1) && residual >= 0;
}

function judgeRoot(state: MatrixState, root: number, report: Report): boolean {
  const { size, shift, residual, condition, sweeps } = state;
  Object.assign(report, { residual, condition, damping: shift, sweeps });
  return isRootGood(state, size, root) && fits(state, root);
}

function judgeEigh(state: MatrixState, tolerance: number | undefined, report: Report): boolean {
  const { size, residual, orthogonality, condition, negative, sweeps, smallest } = state;
  Object.assign(report, { residual, orthogonality, condition, negative, sweeps });
  const fits = state.norm * 2 ** -state.exponent < LARGEST_NORM;
  return isEighGood(state, size) && fits && (tolerance === undefined || smallest >= -tolerance);
}

/** Whether the result, scaled back, is finite. */
function fits({ exponent, magnitude }: MatrixState, root: number): boolean {
  return magnitude * 2 ** (exponent / root) < LARGEST_NORM;
}

function tensorsOf(result: object): Tensor[] {
  return Object.values(result).filter((value): value is Tensor => "dataId" in value);
}
