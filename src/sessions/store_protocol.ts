/**
 * What a store's Worker, the thread that started it and its clients say to each other, over a port for each client.
 *
 * @module
 */
import type { PackedError } from "@/errors.ts";
import type { LogSettings } from "@/log.ts";
import type { Change, NewRecord, Parts } from "./store.ts";

/** Client → Worker. Those with an `id` are answered; the others' failures are told by the next `commit`. */
export type ToStore =
  | { type: "sessions"; id: number }
  | { type: "session"; id: number; session: string }
  | { type: "read"; id: number; record: number }
  | { type: "remembered"; id: number; scope: string; key: string }
  | { type: "begin"; draft: number; record: NewRecord }
  | { type: "write"; id: number; draft: number; parts: Parts }
  | { type: "discard"; draft: number }
  | { type: "commit"; id: number; change: Change };

/** Worker → client. */
export type FromStore =
  | { type: "done"; id: number; result: unknown }
  | { type: "error"; id: number; error: PackedError };

/** The thread that starts the Worker → Worker. */
export type ToStoreWorker =
  /** `log` absent: nothing is logged. */
  | { type: "open"; path: string; log?: LogSettings }
  /** A new client; drafts of the last one are let go. */
  | { type: "connect"; port: MessagePort }
  | { type: "probe"; id: number }
  | { type: "close" };

/** Worker → the thread that started it. */
export type FromStoreWorker =
  | { type: "opened" }
  | { type: "failed"; error: PackedError }
  | { type: "probed"; id: number; error?: PackedError }
  | { type: "closed" };
