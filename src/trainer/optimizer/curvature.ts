/**
 * What turns gradients into updates: by the server (remote.ts), or here with what it made (local.ts).
 *
 * @module
 */
import type { NamedTensorMap, Scalar } from "@tensorflow/tfjs";
import type { BlockGradient, Statistics } from "../capture/mod.ts";
import type { Mode } from "./options.ts";

/** A step's question. */
export interface Ask {
  readonly step: number;
  /** Bounds a KL clip. */
  readonly learningRate: number;
  /** By block name; stay the caller's. */
  readonly gradients: ReadonlyMap<string, BlockGradient>;
  /** Of this step's batch where they are due; taken over. */
  readonly statistics: Statistics | null;
}

/** A step's answer. */
export interface Answer {
  /** By variable name, of the blocks that are preconditioned; the caller disposes them. */
  readonly updates: NamedTensorMap;
  /** ν, already applied; the caller disposes it. */
  readonly klFactor: Scalar | number | null;
  readonly version: number;
  readonly age: number;
  readonly delay: number;
  /** Of the quadratic model. */
  readonly model?: {
    readonly alpha: number;
    readonly mu: number;
    readonly predictedChange: number;
  };
}

export interface Curvature {
  readonly mode: Mode;
  /** Whether the next step must bring statistics, due or not: there are none, or no longer. */
  readonly needsStatistics: boolean;
  /** Counters of the preconditioner in use. */
  readonly version: number;
  /**
   * Preconditions.
   *
   * @returns null where the step is to follow the plain gradient: the preconditioner is late or the server away,
   *   and the options say so.
   */
  precondition(ask: Ask): Promise<Answer | null>;
  /** Steps between `step` and the statistics of the preconditioner in use. */
  ageAt(step: number): number;
  /** Forgets what it knows of the session's state, which was replaced. @param statisticsStep of its preconditioner. */
  reset(statisticsStep: number): void;
  /** Waits for what is still under way. @throws what failed there. */
  settle(): Promise<void>;
  dispose(): void;
}
