/**
 * The linear algebra of one sitting at an engine: pieces of work that are done together and read once.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import type { CpuEngine, Engine, WebGpuEngine } from "@/engine/mod.ts";
import { CpuLinearAlgebra } from "./cpu.ts";
import type { LinearAlgebra } from "./linear_algebra.ts";
import { BatchRecorder } from "./recorder_webgpu.ts";
import { WebGpuLinearAlgebra } from "./webgpu.ts";

export interface WorkOptions {
  /** Problems to solve in float64 on the host, by the keys that {@linkcode Sitting.judge} gave them. */
  readonly rescued: ReadonlySet<string>;
  readonly verifyFully: boolean;
  /** As in settle.ts. */
  readonly keepsNothing?: boolean;
}

export interface Sitting {
  /** For one piece of work. */
  linearAlgebra(options: WorkOptions): LinearAlgebra;
  /** Hands what was asked since the last time to the device, equal sizes of all works together. */
  flush(): void;
  /** Status tensors of everything flushed so far, to be read with the answers. */
  statuses(): Tensor[];
  /**
   * Fills in the reports from the statuses read.
   * @returns by work's linear algebra, the keys of the problems to redo in float64; works that are good are left out.
   */
  judge(statuses: readonly Float32Array[]): Map<LinearAlgebra, string[]>;
}

/** A new sitting. */
export function sittingAt(engine: Engine): Sitting {
  if (engine.kind === "cpu") {
    // every matrix is solved for itself and judged before its promise resolves
    return {
      linearAlgebra: (options) => new CpuLinearAlgebra(engine as CpuEngine, options),
      flush: () => {},
      statuses: () => [],
      judge: () => new Map(),
    };
  }
  const recorder = new BatchRecorder(engine as WebGpuEngine);
  return {
    linearAlgebra: (options) => new WebGpuLinearAlgebra(engine as WebGpuEngine, recorder, options),
    flush: () => recorder.flush(),
    statuses: () => recorder.statuses(),
    judge: (statuses) => recorder.judge(statuses),
  };
}
