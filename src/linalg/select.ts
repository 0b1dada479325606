import type { Tensor } from "@tensorflow/tfjs-core";
import type { LinearAlgebra } from "./linear_algebra.ts";
export type { WorkOptions } from "./sitting.ts";

/** A {@linkcode LinearAlgebra} whose results `settle()` can judge. */
export interface JudgedLinearAlgebra extends LinearAlgebra {
  statuses(): Tensor[];
  judge(statuses: Float32Array[]): string[];
}
