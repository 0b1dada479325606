/**
 * Another thread that solves tasks, as the thread that gives them sees it.
 *
 * @module
 */
import type { BlasOfHelper } from "@/engine/host.ts";
import type { FromHelper, Outcome, ToHelper } from "./protocol.ts";
import type { Task } from "./task.ts";

/** What solves tasks elsewhere. */
export interface Solver {
  /** Solves tasks; their matrices are copied. @throws Error where it died. */
  solve(tasks: readonly Task[]): Promise<readonly Outcome[]>;
  /** Ends it, when it is at rest. */
  stop(): void;
}

/** A Worker that does. */
export class Helper implements Solver {
  readonly #worker: Worker;
  readonly #started = Promise.withResolvers<void>();
  readonly #asked = new Map<number, PromiseWithResolvers<readonly Outcome[]>>();
  #nextId = 0;

  private constructor(blas: BlasOfHelper | null) {
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), {
      type: "module",
      deno: { permissions: blas === null ? "none" : { ffi: "inherit" } },
    });
    this.#worker.onmessage = ({ data }: MessageEvent<FromHelper>) => {
      if (data.type === "ready") return this.#started.resolve();
      this.#asked.get(data.id)!.resolve(data.outcomes);
      this.#asked.delete(data.id);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault(); // unhandled, it would end whoever it helps
      const error = new Error(`A helper of the linear algebra died: ${event.message}`);
      this.#started.reject(error);
      for (const { reject } of this.#asked.values()) reject(error);
      this.#asked.clear();
    };
    this.#post({ type: "start", blas });
  }

  /** Starts it. @throws Error where a Worker cannot be had. */
  static async start(blas: BlasOfHelper | null): Promise<Helper> {
    const helper = new Helper(blas);
    await helper.#started.promise;
    return helper;
  }

  solve(tasks: readonly Task[]): Promise<readonly Outcome[]> {
    const id = this.#nextId++;
    const asked = Promise.withResolvers<readonly Outcome[]>();
    this.#asked.set(id, asked);
    const values = new Float32Array(tasks.reduce((sum, { matrix: { d } }) => sum + d * d, 0));
    let end = 0;
    const sent = tasks.map((task) => {
      const at = end;
      values.set(task.matrix.matrix, at);
      end += task.matrix.matrix.length;
      return { ...task, matrix: { ...task.matrix, matrix: values.subarray(at, end) } };
    });
    this.#post({ type: "solve", id, tasks: sent }, [values.buffer]);
    return asked.promise;
  }

  stop(): void {
    this.#post({ type: "stop" });
  }

  #post(message: ToHelper, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }
}
