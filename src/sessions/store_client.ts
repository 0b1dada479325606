/**
 * The store behind a port to its Worker.
 *
 * @module
 */
import { unpackError } from "@/errors.ts";
import type { Change, NewRecord, Parts, Store } from "./store.ts";
import type { FromStore, ToStore } from "./store_protocol.ts";

/** A message that is answered, before it has its number. */
type Question = Extract<ToStore, { id: number }> extends infer M
  ? M extends unknown ? Omit<M, "id"> : never
  : never;

export class StoreClient implements Store {
  #nextId = 0;
  #nextDraft = 0;
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
    return this.#ask({ type: "sessions" }) as ReturnType<Store["sessions"]>;
  }

  session(id: string) {
    return this.#ask({ type: "session", session: id }) as ReturnType<Store["session"]>;
  }

  read(record: number) {
    return this.#ask({ type: "read", record }) as ReturnType<Store["read"]>;
  }

  remembered(scope: string, key: string) {
    return this.#ask({ type: "remembered", scope, key }) as ReturnType<Store["remembered"]>;
  }

  begin(record: NewRecord): number {
    const draft = this.#nextDraft++;
    this.#post({ type: "begin", draft, record });
    return draft;
  }

  async write(draft: number, parts: Parts, isGiven = false): Promise<void> {
    const given = isGiven ? [...new Set(parts.map(({ buffer }) => buffer))] : [];
    await this.#ask({ type: "write", draft, parts }, given);
  }

  discard(draft: number): void {
    this.#post({ type: "discard", draft });
  }

  async commit(change: Change): Promise<void> {
    await this.#ask({ type: "commit", change });
  }

  close(): Promise<void> {
    this.port.close();
    return Promise.resolve();
  }

  #ask(question: Question, transfer: ArrayBuffer[] = []): Promise<unknown> {
    const id = this.#nextId++;
    const entry = Promise.withResolvers<unknown>();
    this.#waiting.set(id, entry);
    this.#post({ ...question, id } as ToStore, transfer);
    return entry.promise;
  }

  #post(message: ToStore, transfer: ArrayBuffer[] = []): void {
    this.port.postMessage(message, transfer);
  }
}
