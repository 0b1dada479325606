import type { Tensor } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import type { LinearAlgebra } from "./linear_algebra.ts";
import { CpuLinearAlgebra } from "./cpu.ts";
import { WebGpuLinearAlgebra } from "./webgpu.ts";

/** A {@linkcode LinearAlgebra} whose results `settle()` can judge. */
export interface JudgedLinearAlgebra extends LinearAlgebra {
  /** Status tensors of everything recorded so far, to be read with the answer. */
  statuses(): Tensor[];
  /**
   * Fills in the reports from the statuses read.
   * @returns keys of the problems to redo in float64; none where all are good.
   */
  judge(statuses: Float32Array[]): string[];
}

export interface WorkOptions {
  /** Problems to solve in float64 on the host, by the key `judge()` gave them. */
  readonly rescued: ReadonlySet<string>;
  readonly verifyFully: boolean;
}

/** The linear algebra of an engine, for one piece of work. */
export function linearAlgebraOf(
  engine: Engine,
  options: WorkOptions,
): JudgedLinearAlgebra {
  return engine.kind === "webgpu"
    ? new WebGpuLinearAlgebra(engine, options)
    : new CpuLinearAlgebra(engine, options);
}
