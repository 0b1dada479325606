/**
 * What the operations of the cpu engine are given and answer, one matrix at a time.
 *
 * @module
 */
import type { Blas, BuiltInFloat32, Float64, Lane } from "@/engine/host.ts";
import type { Report } from "./linear_algebra.ts";

/** The libraries at hand, and how carefully to judge. Operations on it run inside {@linkcode Blas.during}. */
export interface Host {
  /** LAPACK in float32, or null: then all but eigenvectors is computed in float64. */
  readonly blas: Blas | null;
  /** Float32 where there is no LAPACK. */
  readonly builtIn: BuiltInFloat32 | null;
  readonly float64: Float64;
  readonly verifyFully: boolean;
  /** Where small matrices are solved. */
  readonly lane: Lane;
}

/** One symmetric matrix of a stack. */
export interface HostMatrix {
  /** For error messages only. */
  readonly name: string;
  /** `M [d, d]`, row-major; never written to. */
  readonly matrix: Float32Array<ArrayBuffer>;
  readonly d: number;
  /** τ. */
  readonly negativeTolerance?: number;
}

export interface ShiftedMatrix extends HostMatrix {
  /** Multiple of the identity to add. */
  readonly shift: number;
}

/** A judged result. */
export interface Solved {
  /** `[d, d]`. */
  readonly result: Float32Array<ArrayBuffer>;
  readonly report: Report;
}
