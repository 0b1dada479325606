/**
 * The store's Worker, as the thread that starts it sees it.
 *
 * @module
 */
import { CurvdError, unpackError } from "@/errors.ts";
import { log, type LogSettings } from "@/log.ts";
import type { FromStoreWorker, ToStoreWorker } from "./store_protocol.ts";

const FILE = "sessions.sqlite";
/** A store that says nothing for so long is not ready: the largest piece of its work takes a fraction of this. */
const PROBE_MS = 2000;

export interface StoreWorker {
  /** A port for a `StoreClient`, to be transferred. The one before is of no use any more. */
  connect(): MessagePort;
  /** Writes and syncs a page. @throws CurvdError `store-full`, or `not-ready` where no answer comes in two seconds. */
  probe(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts the Worker.
 *
 * @param folder made where it is not there; `:memory:` for a store that ends with the process.
 * @param settings of the Worker's log; absent: nothing is logged.
 * @param probeMs how long a probe waits.
 * @throws CurvdError what opening the file threw.
 */
export async function startStore(
  folder: string,
  settings?: LogSettings,
  probeMs = PROBE_MS,
): Promise<StoreWorker> {
  const isMemory = folder === ":memory:";
  if (!isMemory) await Deno.mkdir(folder, { recursive: true });
  const path = isMemory ? folder : `${folder}/${FILE}`;
  const worker = new Worker(new URL("./store_worker.ts", import.meta.url), {
    type: "module",
    deno: { permissions: isMemory ? "none" : { read: [folder], write: [folder] } },
  });
  const post = (message: ToStoreWorker, transfer: Transferable[] = []) =>
    worker.postMessage(message, transfer);
  const opened = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const probes = new Map<number, PromiseWithResolvers<void>>();
  let death: CurvdError | undefined;
  worker.addEventListener("message", ({ data }: MessageEvent<FromStoreWorker>) => {
    switch (data.type) {
      case "opened":
        return opened.resolve();
      case "failed":
        return opened.reject(unpackError(data.error));
      case "closed":
        return closed.resolve();
      case "probed": {
        const probe = probes.get(data.id);
        return data.error ? probe?.reject(unpackError(data.error)) : probe?.resolve();
      }
    }
  });
  worker.addEventListener("error", (event) => {
    event.preventDefault(); // unhandled, it would end the server
    death = new CurvdError("internal", `The store's Worker died: ${event.message}`);
    log.error("the store's Worker died", { reason: event.message });
    opened.reject(death);
    for (const probe of probes.values()) probe.reject(death);
    closed.resolve();
  });
  post({ type: "open", path, log: settings });
  try {
    await opened.promise;
  } catch (error) {
    worker.terminate();
    throw error;
  }
  let nextProbe = 0;
  return {
    connect() {
      const { port1, port2 } = new MessageChannel();
      post({ type: "connect", port: port2 }, [port2]);
      return port1;
    },
    async probe() {
      if (death) throw death;
      const id = nextProbe++;
      const probe = Promise.withResolvers<void>();
      probes.set(id, probe);
      const timer = setTimeout(() => {
        const message = `The store has not answered for ${probeMs} ms`;
        probe.reject(new CurvdError("not-ready", message, { limit: probeMs }));
      }, probeMs);
      post({ type: "probe", id });
      try {
        await probe.promise;
      } finally {
        clearTimeout(timer);
        probes.delete(id);
      }
    },
    async close() {
      post({ type: "close" });
      await closed.promise;
      worker.terminate();
    },
  };
}
