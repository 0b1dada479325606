/**
 * Makes one batch of what many layers ask for at the same time.
 *
 * A curvature method is written for one layer and asks for its own inverses or eigenbases. Layers run side
 * by side, so their questions arrive together: they are held until every layer has asked (the next turn of
 * the event loop, when nothing but device work is left to wait for) and go to the engine as one list, in the order
 * they came. The order follows from the request alone, so the same request makes the same batches.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Scalar, Tensor } from "@tensorflow/tfjs-core";
import type { Float64 } from "@/engine/mod.ts";
import type {
  EighProblem,
  EighResult,
  InverseResult,
  LinearAlgebra,
  RootProblem,
  RootResult,
  ShiftedProblem,
  WhitenerResult,
} from "./linear_algebra.ts";

/** One layer's question, waiting for the others. */
interface Waiting<P, R> {
  readonly problems: readonly P[];
  resolve(results: R[]): void;
  reject(reason: unknown): void;
}

/** Collects the problems of one operation. */
class Collector<P, R> {
  private waiting: Waiting<P, R>[] = [];

  constructor(private readonly solve: (problems: P[]) => Promise<R[]>) {}

  ask(problems: readonly P[]): Promise<R[]> {
    return new Promise((resolve, reject) => {
      if (this.waiting.length === 0) setImmediate(() => this.flush());
      this.waiting.push({ problems, resolve, reject });
    });
  }

  private async flush(): Promise<void> {
    const asked = this.waiting;
    this.waiting = [];
    try {
      const results = await this.solve(asked.flatMap(({ problems }) => problems));
      for (const { problems, resolve } of asked) resolve(results.splice(0, problems.length));
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }
}

/** An engine's linear algebra with simultaneous calls joined. */
export class BatchedLinearAlgebra implements LinearAlgebra {
  readonly verifyFully: boolean;
  readonly float64: Float64;
  private readonly inverses: Collector<ShiftedProblem, InverseResult>;
  private readonly whiteners: Collector<ShiftedProblem, WhitenerResult>;
  private readonly bases: Collector<EighProblem, EighResult>;
  private readonly roots: Collector<RootProblem, RootResult>;
  private readonly scalars: Collector<Scalar, number>;
  private readonly values: Collector<Tensor, Float32Array<ArrayBuffer>>;

  constructor(engine: LinearAlgebra) {
    this.verifyFully = engine.verifyFully;
    this.float64 = engine.float64;
    this.inverses = new Collector((problems) => engine.choleskyInverse(problems));
    this.whiteners = new Collector((problems) => engine.whiten(problems));
    this.bases = new Collector((problems) => engine.eigh(problems));
    this.roots = new Collector((problems) => engine.inverseRoot(problems));
    this.values = new Collector((tensors) => engine.read(tensors));
    this.scalars = new Collector((scalars) => engine.numbers(scalars));
  }

  choleskyInverse(problems: readonly ShiftedProblem[]): Promise<InverseResult[]> {
    return this.inverses.ask(problems);
  }

  whiten(problems: readonly ShiftedProblem[]): Promise<WhitenerResult[]> {
    return this.whiteners.ask(problems);
  }

  eigh(problems: readonly EighProblem[]): Promise<EighResult[]> {
    return this.bases.ask(problems);
  }

  inverseRoot(problems: readonly RootProblem[]): Promise<RootResult[]> {
    return this.roots.ask(problems);
  }

  numbers(scalars: readonly Scalar[]): Promise<number[]> {
    return this.scalars.ask(scalars);
  }

  read(tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>[]> {
    return this.values.ask(tensors);
  }
}
