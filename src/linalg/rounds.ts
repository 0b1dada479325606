/**
 * Work done in rounds: what is asked at the same time is solved together, and answered together.
 *
 * A curvature method is written for one layer and asks for its own inverses or eigenbases. Layers run side by side, and so
 * do the pieces of work of a sitting (sittings.ts), so their questions arrive together: they are held until everybody has
 * asked (the next turn of the event loop, when nothing but device work is left to wait for). Nobody goes on before the whole
 * round is done: a matrix product made meanwhile would meet the library's calls of another piece of work, take its number of
 * threads, and with it other bits. (Work that makes none has a sitting, and its rounds, for itself.)
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Scalar, Tensor } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { LinearAlgebra } from "./linear_algebra.ts";
import type { Sitting } from "./sitting.ts";

/** A question that waits for its round. */
interface Question {
  /** Begins the work; on WebGPU it is recorded when this returns. */
  begin(): Promise<unknown>;
  resolve(result: unknown): void;
  reject(reason: unknown): void;
}

type Values = Float32Array<ArrayBuffer>;

/** A wish to read tensors; all of a round are one read. */
interface Reading extends Pick<Question, "reject"> {
  readonly tensors: readonly Tensor[];
  resolve(values: Values[]): void;
}

export class Rounds {
  #asked: Question[] = [];
  #readings: Reading[] = [];

  constructor(private readonly engine: Engine, private readonly sitting: Sitting) {}

  /**
   * One piece of work's view of its linear algebra.
   * @param signal once aborted, whatever the work asks next is refused.
   */
  of(linalg: LinearAlgebra, signal?: AbortSignal): LinearAlgebra {
    const ask = <R>(begin: () => Promise<R>) => this.#ask(begin, signal);
    const read = (tensors: readonly Tensor[]) => this.#read(tensors, signal);
    return {
      verifyFully: linalg.verifyFully,
      float64: linalg.float64,
      choleskyInverse: (problems) => ask(() => linalg.choleskyInverse(problems)),
      whiten: (problems) => ask(() => linalg.whiten(problems)),
      eigh: (problems) => ask(() => linalg.eigh(problems)),
      inverseRoot: (problems) => ask(() => linalg.inverseRoot(problems)),
      numbers: async (scalars: readonly Scalar[]) => (await read(scalars)).map(([value]) => value),
      read,
    };
  }

  #ask<R>(begin: () => Promise<R>, signal?: AbortSignal): Promise<R> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(abandoned());
      this.#gather();
      this.#asked.push({ begin, resolve: resolve as Question["resolve"], reject });
    });
  }

  #read(tensors: readonly Tensor[], signal?: AbortSignal): Promise<Values[]> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(abandoned());
      this.#gather();
      this.#readings.push({ tensors, resolve, reject });
    });
  }

  #gather(): void {
    if (this.#asked.length + this.#readings.length === 0) setImmediate(() => this.#hold());
  }

  async #hold(): Promise<void> {
    const [asked, readings] = [this.#asked, this.#readings];
    this.#asked = [];
    this.#readings = [];
    const answers = asked.map(({ begin }) => begin());
    const recorded = this.#flushed();
    const reading = readings.length > 0
      ? this.engine.read(readings.flatMap(({ tensors }) => tensors))
      : Promise.resolve([]);
    const [outcomes, [flushed], [read]] = await Promise.all([
      Promise.allSettled(answers),
      Promise.allSettled([recorded]),
      Promise.allSettled([reading]),
    ]);
    asked.forEach(({ resolve, reject }, at) => {
      const outcome = outcomes[at];
      if (outcome.status === "rejected") reject(outcome.reason);
      else if (flushed.status === "rejected") reject(flushed.reason);
      else resolve(outcome.value);
    });
    for (const { tensors, resolve, reject } of readings) {
      if (read.status === "rejected") reject(read.reason);
      else resolve(read.value.splice(0, tensors.length));
    }
  }

  // deno-lint-ignore require-await -- what it throws is an outcome like the others
  async #flushed(): Promise<void> {
    this.sitting.flush();
  }
}

/** Between two dispatches is where work that nobody waits for any more ends. */
export function abandoned(): CurvdError {
  return new CurvdError("aborted", "Nobody waits for this work any more");
}
