/**
 * The store's Worker: SQLite blocks its thread, and a sync takes what the disk takes.
 *
 * @module
 */
/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
import { packError } from "@/errors.ts";
import { configureLog, faultOf, log } from "@/log.ts";
import { SqliteStore } from "./sqlite_store.ts";
import type { FromStore, FromStoreWorker, ToStore, ToStoreWorker } from "./store_protocol.ts";

let store: SqliteStore | undefined;
let tidying: ReturnType<typeof setTimeout> | undefined;

self.onmessage = ({ data }: MessageEvent<ToStoreWorker>) => {
  switch (data.type) {
    case "open":
      if (data.log) configureLog(data.log);
      return open(data.path);
    case "connect":
      return connect(data.port);
    case "probe":
      return probe(data.id);
    case "close":
      clearTimeout(tidying);
      store?.close();
      tell({ type: "closed" });
      return self.close();
  }
};

function open(path: string): void {
  try {
    store = new SqliteStore(path);
    tell({ type: "opened" });
    tidySoon();
  } catch (error) {
    tell({ type: "failed", error: packError(error) });
  }
}

function connect(port: MessagePort): void {
  store!.reset();
  port.onmessage = ({ data: message }) => serve(port, message);
}

function probe(id: number): void {
  try {
    store!.probe();
    tell({ type: "probed", id });
  } catch (error) {
    tell({ type: "probed", id, error: packError(error) });
  }
}

function serve(port: MessagePort, message: ToStore): void {
  if (message.type === "begin") return store!.begin(message.draft, message.record);
  if (message.type === "discard") return store!.discard(message.draft);
  const { id } = message;
  const post = (answer: FromStore, transfer: ArrayBuffer[] = []) =>
    port.postMessage(answer, transfer);
  try {
    const result = answer(message);
    post({ type: "done", id, result }, result instanceof Uint8Array ? [result.buffer] : []);
  } catch (error) {
    post({ type: "error", id, error: packError(error) });
  }
  if (message.type === "commit" || message.type === "write") tidySoon();
}

function answer(message: Extract<ToStore, { id: number }>) {
  switch (message.type) {
    case "sessions":
      return store!.sessions();
    case "session":
      return store!.session(message.session);
    case "read":
      return store!.read(message.record);
    case "remembered":
      return store!.remembered(message.scope, message.key);
    case "write":
      return store!.write(message.draft, message.parts);
    case "commit":
      return store!.commit(message.change);
  }
}

/** Housekeeping, a piece at a time: whoever asks meanwhile comes first. */
function tidySoon(): void {
  tidying ??= setTimeout(() => {
    tidying = undefined;
    try {
      if (store!.tidy()) tidySoon();
    } catch (error) {
      log.error("the store could not be tidied, which the next change tries again", faultOf(error));
    }
  });
}

function tell(message: FromStoreWorker): void {
  self.postMessage(message);
}
