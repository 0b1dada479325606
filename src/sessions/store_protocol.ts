/**
 * What a store's Worker and its clients say to each other, over a port for each client.
 *
 * @module
 */
import type { PackedError } from "@/errors.ts";
import type { Change, Parts, RecordKind } from "./store.ts";

/** Client → Worker. Those with an `id` are answered; the others' failures are told by the next `commit`. */
export type ToStore =
  | { type: "sessions"; id: number }
  | { type: "read"; id: number; session: string }
  | { type: "remembered"; id: number; scope: string; key: string }
  | { type: "stage"; session: string; kind: RecordKind; revision: number; parts: Parts }
  | { type: "commit"; id: number; change: Change }
  | { type: "discard" };

/** Worker → client. */
export type FromStore =
  | { type: "done"; id: number; result: unknown }
  | { type: "error"; id: number; error: PackedError };

/** The thread that starts the Worker → Worker. */
export type ToStoreWorker =
  | { type: "open"; path: string }
  /** A new client; what the last one staged is taken back. */
  | { type: "connect"; port: MessagePort }
  | { type: "close" };

/** Worker → the thread that started it. */
export type FromStoreWorker =
  | { type: "opened" }
  | { type: "failed"; error: PackedError }
  | { type: "closed" };
