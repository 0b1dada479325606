/**
 * What the threads of a crew say to each other.
 *
 * @module
 */
import type { BlasOfHelper } from "@/engine/host.ts";
import type { PackedError } from "@/errors.ts";
import type { Solutions, Task } from "./task.ts";

export type ToHelper =
  /** The first word: the library that the crew works with; null for the built-in float64. */
  | { readonly type: "start"; readonly blas: BlasOfHelper | null }
  | { readonly type: "solve"; readonly id: number; readonly tasks: readonly Task[] }
  | { readonly type: "stop" };

export type Outcome =
  | { readonly solution: Solutions[keyof Solutions] }
  | { readonly error: PackedError };

export type FromHelper =
  | { readonly type: "ready" }
  | { readonly type: "solved"; readonly id: number; readonly outcomes: readonly Outcome[] };
