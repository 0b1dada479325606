/**
 * The store's Worker as other threads see it: one starts it, each client has a port to it.
 *
 * @module
 */
import { CurvdError, unpackError } from "@/errors.ts";
import type { Change, Parts, RecordKind, Store } from "./store.ts";
import type { FromStore, FromStoreWorker, ToStore, ToStoreWorker } from "./store_protocol.ts";

const FILE = "sessions.sqlite";

/** The Worker, held by the thread that started it. */
export interface StoreWorker {
  /** A port for {@linkcode StoreClient}, to be transferred. The one before is of no use any more. */
  connect(): MessagePort;
  close(): Promise<void>;
}

/**
 * Starts the Worker.
 *
 * @param folder made where it is not there; `:memory:` for a store that ends with the process.
 * @throws CurvdError what opening the file threw.
 */
export async function startStore(folder: string): Promise<StoreWorker> {
  const isMemory = folder === ":memory:";
  if (!isMemory) await Deno.mkdir(folder, { recursive: true });
  const path = isMemory ? folder : `${folder}/${FILE}`;
  const worker = new Worker(new URL("./store_worker.ts", import.meta.url), { type: "module" });
  const post = (message: ToStoreWorker, transfer: Transferable[] = []) =>
    worker.postMessage(message, transfer);
  const opened = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  worker.addEventListener("message", ({ data }: MessageEvent<FromStoreWorker>) => {
    if (data.type === "opened") opened.resolve();
    else if (data.type === "failed") opened.reject(unpackError(data.error));
    else closed.resolve();
  });
  worker.addEventListener("error", (event) => {
    event.preventDefault(); // unhandled, it would end the server
    console.error(`The store's Worker died: ${event.message}`);
    opened.reject(new CurvdError("internal", `The store's Worker died: ${event.message}`));
    closed.resolve();
  });
  post({ type: "open", path });
  try {
    await opened.promise;
  } catch (error) {
    worker.terminate();
    throw error;
  }
  return {
    connect() {
      const { port1, port2 } = new MessageChannel();
      post({ type: "connect", port: port2 }, [port2]);
      return port1;
    },
    async close() {
      post({ type: "close" });
      await closed.promise;
      worker.terminate();
    },
  };
}

/** The store behind a port. */
export class StoreClient implements Store {
  #nextId = 0;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();

  constructor(private readonly port: MessagePort) {
    port.onmessage = ({ data }: MessageEvent<FromStore>) => {
      const entry = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.type === "done") entry?.resolve(data.result);
      else entry?.reject(unpackError(data.error));
    };
  }

  sessions() {
    return this.#ask({ type: "sessions", id: this.#nextId++ }) as ReturnType<Store["sessions"]>;
  }

  read(session: string) {
    return this.#ask({ type: "read", id: this.#nextId++, session }) as ReturnType<Store["read"]>;
  }

  remembered(scope: string, key: string) {
    return this.#ask({ type: "remembered", id: this.#nextId++, scope, key }) as ReturnType<
      Store["remembered"]
    >;
  }

  stage(session: string, kind: RecordKind, revision: number, parts: Parts): void {
    this.#post({ type: "stage", session, kind, revision, parts });
  }

  async commit(change: Change): Promise<void> {
    await this.#ask({ type: "commit", id: this.#nextId++, change });
  }

  discard(): void {
    this.#post({ type: "discard" });
  }

  close(): Promise<void> {
    this.port.close();
    return Promise.resolve();
  }

  #ask(message: ToStore & { id: number }): Promise<unknown> {
    const entry = Promise.withResolvers<unknown>();
    this.#waiting.set(message.id, entry);
    this.#post(message);
    return entry.promise;
  }

  #post(message: ToStore): void {
    this.port.postMessage(message);
  }
}
