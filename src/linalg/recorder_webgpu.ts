/**
 * What several pieces of work ask of the device in one round, gathered into batches of one operation and padded side.
 *
 * Each batch leaves a tensor of states beside its results; a state tells its member's owner whether the result may leave.
 *
 * @module
 */
import { type Tensor } from "@tensorflow/tfjs-core";
import type { WebGpuEngine } from "@/engine/mod.ts";
import type { LinearAlgebra } from "./linear_algebra.ts";
import { type Member, type SizeClass, sizeClasses } from "./padded/padded_webgpu.ts";
import { type MatrixState, statesOf } from "./padded/state_webgpu.ts";

/** A member knows whose it is and how its state is judged. */
export interface Judged extends Member {
  readonly owner: LinearAlgebra;
  /** What the owner calls it: the same in each run of its work. */
  readonly key: string;
  /** Whether it only looks at a matrix and leaves no result: such members are the last of a batch. */
  readonly isCheck?: boolean;
  /** Fills in the report. @returns whether the result may leave. */
  judge(state: MatrixState): boolean;
}

/** Runs one batch. @returns its states, for the caller to read and dispose. */
type Run<M> = (sizeClass: SizeClass<M & Member>) => Tensor;

interface Kind {
  readonly members: Judged[];
  readonly run: Run<Judged>;
  readonly sideOf?: (d: number) => number;
}

export class BatchRecorder {
  #asked = new Map<string, Kind>();
  readonly #recorded: { readonly states: Tensor; readonly members: readonly Judged[] }[] = [];

  constructor(private readonly engine: WebGpuEngine) {}

  /**
   * Takes members of one kind of batch.
   * @param kind the operation with its options: members of the same kind may share a batch.
   */
  add<M extends Judged>(
    kind: string,
    members: readonly M[],
    run: (sizeClass: SizeClass<M>) => Tensor,
    sideOf?: (d: number) => number,
  ): void {
    let asked = this.#asked.get(kind);
    if (!asked) this.#asked.set(kind, asked = { members: [], run: run as Run<Judged>, sideOf });
    asked.members.push(...members);
  }

  /** Records and submits what was added since the last time. */
  flush(): void {
    const asked = this.#asked;
    this.#asked = new Map();
    for (const { members, run, sideOf } of asked.values()) {
      const ordered = [
        ...members.filter(({ isCheck }) => !isCheck),
        ...members.filter(({ isCheck }) => isCheck),
      ];
      for (const sizeClass of sizeClasses(this.engine, ordered, sideOf)) {
        this.#recorded.push({ states: run(sizeClass), members: sizeClass.members });
      }
    }
  }

  statuses(): Tensor[] {
    return this.#recorded.map(({ states }) => states);
  }

  /** Members of results that were given up are judged too: nobody reads their reports. */
  judge(statuses: readonly Float32Array[]): Map<LinearAlgebra, string[]> {
    const failed = new Map<LinearAlgebra, string[]>();
    this.#recorded.forEach(({ members }, at) => {
      const states = statesOf(statuses[at]);
      members.forEach((member, i) => {
        if (member.judge(states[i])) return;
        const keys = failed.get(member.owner);
        if (keys) keys.push(member.key);
        else failed.set(member.owner, [member.key]);
      });
    });
    return failed;
  }
}
