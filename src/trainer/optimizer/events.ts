/**
 * What an optimizer tells of its work.
 *
 * @module
 */
import type { Mode, OnLate } from "./options.ts";

/** How a step went. */
export interface StepReport {
  /** From 0. */
  readonly step: number;
  /** Of the batch before the step, without the penalty of weight decay. */
  readonly loss: number;
  readonly learningRate: number;
  /** What was followed: the preconditioned gradient, or for want of a preconditioner the plain one. */
  readonly direction: "curvature" | "gradient";
  /** Preconditioners that the session had made. */
  readonly version: number;
  /** Steps since the preconditioner's statistics were taken; 0 without one. */
  readonly age: number;
  /** Steps since a newer preconditioner fell due; 0 where the one in use is the latest due. */
  readonly delay: number;
  /** λ, as the server last told it. */
  readonly damping: number | null;
  /** ν of the KL clip, already applied; null without one. */
  readonly klFactor: number | null;
  /** Of the quadratic model: the step is `−α·update + μ·(last step)`. */
  readonly alpha?: number;
  readonly mu?: number;
  readonly predictedChange?: number;
  readonly ms: {
    readonly total: number;
    /** Forward and backward passes, statistics included. */
    readonly capture: number;
    /** Waiting for the server, the way there included; and applying a preconditioner locally. */
    readonly curvature: number;
  };
}

export type TrainerEvent =
  | ({ readonly type: "step" } & StepReport)
  /** A new preconditioner is in use. */
  | { readonly type: "refresh"; readonly version: number; readonly step: number }
  | { readonly type: "late"; readonly step: number; readonly delay: number; readonly then: OnLate }
  | { readonly type: "lost"; readonly error: Error }
  /** The server is there again; `recreated` where the session had to be opened anew. */
  | { readonly type: "back"; readonly recreated: boolean; readonly afterMs: number }
  | { readonly type: "mode"; readonly mode: Mode; readonly why: string }
  | { readonly type: "damping"; readonly step: number; readonly damping: number };

/** Where an optimizer stands. */
export interface OptimizerStatus {
  readonly mode: Mode;
  /** Steps taken. */
  readonly step: number;
  readonly version: number;
  readonly age: number;
  readonly damping: number | null;
  readonly isLost: boolean;
  /** Of the session, once it is open. */
  readonly session: string | null;
}
