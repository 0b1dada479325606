/**
 * The HTTP thread's side of the compute Worker: messages, cancelling, and what happens when it dies.
 *
 * @module
 */
import { CurvdError, unpackError } from "@/errors.ts";
import { log } from "@/log.ts";
import type { StoreWorker } from "@/sessions/storage.ts";
import { buffersOf, type Document } from "@/wire/mod.ts";
import type {
  CallName,
  Compute,
  ComputeSettings,
  DeviceReport,
  FromWorker,
  Offer,
  ToWorker,
  Watcher,
} from "./protocol.ts";
import type { SessionCall } from "./session_protocol.ts";

/** Pauses before a Worker that died is started again: doubled at each failure in a row. */
const FIRST_RESTART_MS = 100;
const LAST_RESTART_MS = 30_000;

/**
 * How long a lost Worker may take to end itself. Terminated while a library call is under way on another thread, it would take
 * the call's memory away, and the process with it.
 */
const LONGEST_END_MS = 10_000;

/** What the client starts; a test may give another than the real one. */
export type OpenWorker = () => Worker;

function openComputeWorker(): Worker {
  return new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    // for the BLAS, and to start its helpers from their sources: no other files, no network
    deno: { permissions: { ffi: "inherit", read: [new URL("../", import.meta.url)] } },
  });
}

/**
 * Starts the Worker and waits until its engine is open.
 *
 * A Worker that dies later fails what was in flight with `device-lost` and is started again.
 *
 * @throws CurvdError what opening the engine threw.
 */
export async function startCompute(
  settings: ComputeSettings,
  { open = openComputeWorker, store }: { open?: OpenWorker; store?: StoreWorker } = {},
): Promise<Compute> {
  const client = new ComputeClient(settings, open, store);
  await client.start();
  return client;
}

type Reply = Document | DeviceReport;
type Listener = Parameters<Compute["watch"]>[0];

class ComputeClient implements Compute {
  offer: Offer = { calls: [], methods: [] };
  #worker: Worker | undefined;
  #isReady = false;
  #isClosing = false;
  #nextId = 0;
  #restartMs = FIRST_RESTART_MS;
  /** Until the last lost Worker has come to its end. */
  #ending: Promise<void> = Promise.resolve();
  #restartTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #inFlight = new Map<number, PromiseWithResolvers<Reply>>();
  #idle = Promise.withResolvers<void>();
  #stopped = Promise.withResolvers<void>();
  readonly #watchers = new Set<Watcher>();

  constructor(
    private readonly settings: ComputeSettings,
    private readonly open: OpenWorker,
    private readonly store?: StoreWorker,
  ) {}

  start(): Promise<void> {
    const started = Promise.withResolvers<void>();
    const worker = this.open();
    this.#worker = worker;
    let isOpen = false;
    const ended = Promise.withResolvers<void>();
    const fail = (error: CurvdError, end: Promise<void> = Promise.resolve()) => {
      if (this.#worker !== worker) return; // a last word of one that was given up
      this.#forsake(error);
      this.#ending = endOf(worker, end).then(() => {
        if (isOpen) this.#restart(error);
      });
      started.reject(error);
    };
    worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
      switch (data.type) {
        case "ready":
          if (this.#worker !== worker) return; // lost while it opened: another takes its place
          isOpen = true;
          this.offer = data.offer;
          this.#isReady = true;
          this.#restartMs = FIRST_RESTART_MS;
          return started.resolve();
        case "failed":
          return fail(unpackError(data.error));
        case "event":
          return this.#tell((watcher) => watcher.session?.(data.session, data.event));
        case "turn":
          return this.#tell((watcher) => watcher.turn?.(data.turn));
        case "vitals":
          return this.#tell((watcher) => watcher.vitals?.(data.vitals));
        case "lost":
          return fail(lost(`The device was lost: ${data.reason}`), ended.promise);
        case "stopped":
          ended.resolve();
          return this.#receive(data);
        default:
          return this.#receive(data);
      }
    });
    worker.addEventListener("error", (event) => {
      event.preventDefault(); // unhandled, it would end the server
      fail(lost(`The compute Worker died: ${event.message}`));
    });
    const { engine, blas, memoryBytes, log } = this.settings;
    const settings = { engine, blas, memoryBytes, log }; // not all of a Config
    const port = this.store?.connect(); // a new one each time: what a lost Worker had staged is taken back
    worker.postMessage(
      { type: "start", settings, store: port } satisfies ToWorker,
      port ? [port] : [],
    );
    return started.promise;
  }

  async call(
    call: CallName,
    request: Document,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<Document> {
    if (signal?.aborted) throw reasonOf(signal);
    const { id, answer } = this.#open();
    const onAbort = () => {
      this.#post({ type: "abort", id });
      this.#settle(id)?.reject(reasonOf(signal!));
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      this.#ask({ type: "call", id, call, request }, buffersOf(request));
      return await answer as Document;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async session(call: SessionCall): Promise<Document> {
    const { id, answer } = this.#open();
    this.#ask({ type: "session", id, call }, buffersOf(call.request));
    return await answer as Document;
  }

  observe(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  watch(listener: Listener): () => void {
    return this.observe({ session: listener });
  }

  async device(): Promise<DeviceReport> {
    const { id, answer } = this.#open();
    this.#ask({ type: "device", id });
    return await answer as DeviceReport;
  }

  isReady(): boolean {
    return this.#isReady && !this.#isClosing;
  }

  async close(graceMs?: number): Promise<void> {
    this.#isClosing = true;
    clearTimeout(this.#restartTimer);
    const late = graceMs === undefined ? undefined : setTimeout(() => {
      this.#worker?.terminate();
      this.#forsake(new CurvdError("draining", "The server has stopped"));
    }, graceMs);
    if (this.#inFlight.size > 0) await this.#idle.promise;
    if (this.#isReady) {
      this.#stopped = Promise.withResolvers<void>();
      this.#post({ type: "stop" });
      await this.#stopped.promise;
    }
    await this.#ending;
    clearTimeout(late);
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#isReady = false;
  }

  /** Opens an entry for a request, if requests are taken. */
  #open(): { id: number; answer: Promise<Reply> } {
    if (this.#isClosing) throw new CurvdError("draining", "The server is stopping");
    if (!this.#isReady) {
      throw new CurvdError("device-lost", "The device was lost and is being opened again", {
        retryAfter: Math.ceil(this.#restartMs / 1000),
      });
    }
    const id = this.#nextId++;
    const entry = Promise.withResolvers<Reply>();
    this.#inFlight.set(id, entry);
    return { id, answer: entry.promise };
  }

  /** Closes an entry; undefined where it was closed before, as when its client left. */
  #settle(id: number): PromiseWithResolvers<Reply> | undefined {
    const entry = this.#inFlight.get(id);
    this.#inFlight.delete(id);
    if (this.#inFlight.size === 0) {
      this.#idle.resolve();
      this.#idle = Promise.withResolvers<void>();
    }
    return entry;
  }

  #receive(message: Extract<FromWorker, { type: "answer" | "device" | "error" | "stopped" }>) {
    switch (message.type) {
      case "answer":
        return this.#settle(message.id)?.resolve(message.answer);
      case "device":
        return this.#settle(message.id)?.resolve(message.report);
      case "error":
        return this.#settle(message.id)?.reject(unpackError(message.error));
      case "stopped":
        return this.#stopped.resolve();
    }
  }

  /** Turns from a Worker and fails what it was doing. */
  #forsake(error: CurvdError): void {
    this.#worker = undefined;
    this.#isReady = false;
    this.#stopped.resolve();
    for (const id of [...this.#inFlight.keys()]) this.#settle(id)?.reject(error);
  }

  /** Starts another Worker after a pause, and again until one opens. */
  #restart(error: unknown): void {
    if (this.#isClosing) return;
    this.#tell((watcher) => watcher.restart?.());
    log.warning("the device is opened again", { reason: String(error), in_ms: this.#restartMs });
    this.#restartTimer = setTimeout(() => {
      this.start().catch((error) => this.#restart(error));
    }, this.#restartMs);
    this.#restartMs = Math.min(2 * this.#restartMs, LAST_RESTART_MS);
  }

  #tell(what: (watcher: Watcher) => void): void {
    for (const watcher of this.#watchers) what(watcher);
  }

  /** Sends a request; one that cannot be sent is not in flight. */
  #ask(message: ToWorker & { readonly id: number }, transfer: ArrayBuffer[] = []): void {
    try {
      this.#post(message, transfer);
    } catch (error) {
      this.#settle(message.id)?.reject(error);
    }
  }

  #post(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    this.#worker?.postMessage(message, transfer);
  }
}

/** Why nobody waits any more, in the domain's words. */
function reasonOf({ reason }: AbortSignal): CurvdError {
  return reason instanceof CurvdError ? reason : new CurvdError("aborted", "The client left");
}

/** Another Worker is started at once: to come back soon is worth it. */
function lost(why: string): CurvdError {
  return new CurvdError("device-lost", why, { retryAfter: 1 });
}

/** Ends a Worker, at the latest when its time is over. @param end when it is at rest. */
async function endOf(worker: Worker, end: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, LONGEST_END_MS);
  await Promise.race([end, late.promise]);
  clearTimeout(timer);
  worker.terminate();
}
