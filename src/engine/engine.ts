/**
 * What an engine is: the thing that lends TensorFlow.js a backend and knows how to read it back.
 *
 * The curvature methods are written once, in TensorFlow.js operations plus the interface of
 * `linalg/`. An engine supplies what lies beneath both: a device, a matrix product, one read-back
 * for many tensors, float64 arithmetic on the host, and the truth about device errors.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import type { Float64 } from "./float64.ts";

export type EngineKind = "webgpu" | "cpu";

/** What `GET /v1/device` tells of an engine. */
export interface EngineFacts {
  readonly engine: EngineKind;
  /** Why this engine and not the other; of the cpu engine also what it computes with. In sentences. */
  readonly reason: string;
  /**
   * WebGPU: the adapter's vendor, architecture, device, description, whether it is software, and
   * the class whose row of the tuning table it takes.
   */
  readonly adapter: Readonly<Record<string, string | boolean>> | null;
  /** WebGPU: the sizes and forms of kernels chosen for the adapter's class. */
  readonly tuning: Readonly<Record<string, number | boolean>> | null;
  /** WebGPU: the limits asked for and granted. */
  readonly limits: Readonly<Record<string, number>>;
  readonly features: readonly string[];
  /** The BLAS found (`openblas 0.3.21 …` with its path) or null for the built-in float64. */
  readonly blas: {
    readonly library: string;
    readonly path: string;
    readonly threads: number;
  } | null;
}

export interface EngineMemory {
  readonly tensors: number;
  readonly bytes: number;
}

export interface Engine {
  readonly kind: EngineKind;
  readonly facts: EngineFacts;
  /** Exact host arithmetic: the rescue of float32 results, and whatever must not cancel. */
  readonly float64: Float64;
  /** Resolves with the reason once the device is gone; never on the cpu engine. */
  readonly lost: Promise<string>;

  /**
   * Reads tensors back in one go: one wait, however many there are.
   * @returns one array a tensor, in order, owned by the caller. The tensors stay alive.
   * @throws CurvdError `device-lost`, or `internal` when the device reported any error since the last read.
   */
  read(tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>[]>;

  /**
   * Reads tensors as {@linkcode read} does and disposes of them: memory that only a tensor has is handed on, not copied.
   */
  take(tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>[]>;

  memory(): EngineMemory;
  close(): Promise<void>;
}
