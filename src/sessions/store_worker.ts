/**
 * The store's Worker: SQLite blocks its thread, and a sync takes what the disk takes.
 *
 * @module
 */
/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { packError } from "@/errors.ts";
import { SqliteStore } from "./sqlite_store.ts";
import type { FromStore, FromStoreWorker, ToStore, ToStoreWorker } from "./store_protocol.ts";

let store: SqliteStore | undefined;

self.onmessage = ({ data }: MessageEvent<ToStoreWorker>) => {
  switch (data.type) {
    case "open":
      return open(data.path);
    case "connect":
      store!.discard();
      data.port.onmessage = ({ data: message }) => serve(data.port, message);
      return;
    case "close":
      store?.close();
      tell({ type: "closed" });
      return self.close();
  }
};

function open(path: string): void {
  try {
    store = new SqliteStore(path);
    tell({ type: "opened" });
  } catch (error) {
    tell({ type: "failed", error: packError(error) });
  }
}

function serve(port: MessagePort, message: ToStore): void {
  if (message.type === "stage") {
    return store!.stage(message.session, message.kind, message.revision, message.parts);
  }
  if (message.type === "discard") return store!.discard();
  const { id } = message;
  try {
    const result = answer(message);
    port.postMessage({ type: "done", id, result } satisfies FromStore, buffersIn(result));
  } catch (error) {
    port.postMessage({ type: "error", id, error: packError(error) } satisfies FromStore);
  }
}

function answer(message: Exclude<ToStore, { type: "stage" | "discard" }>): unknown {
  switch (message.type) {
    case "sessions":
      return store!.sessions();
    case "read":
      return store!.read(message.session);
    case "remembered":
      return store!.remembered(message.scope, message.key);
    case "commit":
      return store!.commit(message.change);
  }
}

/** The bytes of records: given away, as nothing here needs them again. */
function buffersIn(result: unknown): ArrayBuffer[] {
  const { records } = (result ?? {}) as Partial<ReturnType<SqliteStore["read"]> & object>;
  return (records ?? []).map(({ bytes }) => bytes.buffer);
}

function tell(message: FromStoreWorker): void {
  self.postMessage(message);
}
