/**
 * The store in one SQLite file: every change synced, one writer, housekeeping between changes.
 *
 * Its calls block, so it lives in a Worker of its own (store_worker.ts), which calls {@linkcode SqliteStore.tidy} when nothing
 * else is to be done.
 *
 * @module
 */
import { Connection, digest } from "./sqlite_connection.ts";
import { Records } from "./sqlite_records.ts";
import {
  type Change,
  type ChangeKey,
  KEY_LIFETIME_MS,
  type NewRecord,
  type Parts,
  type RememberedChange,
  type StoredRecord,
  type StoredSession,
} from "./store.ts";

/** A log of so many bytes is folded into the file. Two steps of a model with 10 MB of statistics: some 30 ms of work. */
const FOLDED_BYTES = 16 * 2 ** 20;

/** So much is synced when it is written, while its change is computed, so that the commit finds little left to sync. */
const SYNCED_BYTES = 2 ** 20;

export class SqliteStore {
  readonly #connection: Connection;
  readonly #records: Records;
  /** What writing a draft threw: told by its commit. */
  readonly #faults = new Map<number, unknown>();
  /** Bytes in the log that are not in the file. */
  #unfoldedBytes = 0;

  /** @throws CurvdError as {@linkcode Connection}. */
  constructor(path: string) {
    this.#connection = new Connection(path);
    this.#records = this.#connection.guarded(() => new Records(this.#connection));
  }

  sessions(): StoredSession[] {
    return this.#connection.guarded(() =>
      this.#connection.all("SELECT id, head, digest FROM session ORDER BY id").map((row) => {
        this.#connection.expect(row, digest(row.id, row.head), `session "${row.id}"`);
        return { id: row.id as string, head: row.head as string };
      })
    );
  }

  session(id: string): { head: string; records: StoredRecord[] } | null {
    return this.#connection.guarded(() => {
      const [row] = this.#connection.all("SELECT id, head, digest FROM session WHERE id = ?", id);
      if (row === undefined) return null;
      this.#connection.expect(row, digest(row.id, row.head), `session "${id}"`);
      return { head: row.head as string, records: this.#records.of(id) };
    });
  }

  read(record: number): Uint8Array<ArrayBuffer> {
    return this.#connection.guarded(() => this.#records.read(record));
  }

  remembered(scope: string, key: string): RememberedChange | null {
    return this.#connection.guarded(() => {
      const [row] = this.#connection.all(
        "SELECT hash, answer, digest FROM remembered WHERE scope = ? AND key = ? AND at > ?",
        scope,
        key,
        Date.now() - KEY_LIFETIME_MS,
      );
      if (row === undefined) return null;
      const actual = digest(scope, key, row.hash, row.answer);
      this.#connection.expect(row, actual, `key "${key}" of "${scope}"`);
      return { hash: row.hash as string, answer: row.answer as string };
    });
  }

  begin(draft: number, record: NewRecord): void {
    this.#drafting(draft, () => this.#records.begin(draft, record));
  }

  write(draft: number, parts: Parts): void {
    if (this.#faults.has(draft)) return;
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    this.#drafting(draft, () => this.#records.write(draft, parts), bytes >= SYNCED_BYTES);
    this.#unfoldedBytes += bytes;
  }

  discard(draft: number): void {
    this.#drafting(draft, () => this.#records.discard(draft));
    this.#faults.delete(draft);
  }

  commit({ session, head, keys = [], draft, isAnew = head === null }: Change): void {
    try {
      if (draft !== undefined && this.#faults.has(draft)) throw this.#faults.get(draft);
      this.#connection.transact(() => {
        if (draft !== undefined) this.#records.complete(draft);
        if (head === null) this.#end(session);
        else this.#writeHead(session, head);
        if (isAnew) this.#connection.run("DELETE FROM remembered WHERE scope = ?", session);
        this.#remember(keys);
      });
    } catch (error) {
      if (draft !== undefined) this.discard(draft);
      throw this.#connection.named(error);
    }
    if (draft !== undefined) this.#records.completed(draft);
  }

  /** Lets go of all drafts: who wrote them is gone. */
  reset(): void {
    this.#connection.guarded(() => this.#connection.unsynced(() => this.#records.discardAll()));
    this.#faults.clear();
  }

  /** Writes what says nothing, and syncs it. @throws CurvdError `store-full` where that cannot be done. */
  probe(): void {
    this.#connection.guarded(() => {
      const [{ user_version }] = this.#connection.all("PRAGMA user_version");
      this.#connection.exec(`PRAGMA user_version = ${user_version}`);
    });
  }

  /** Does a piece of what can wait: folds the log, frees what is gone. @returns whether there is more to do. */
  tidy(): boolean {
    return this.#connection.guarded(() => {
      if (this.#unfoldedBytes > FOLDED_BYTES) {
        this.#unfoldedBytes = this.#connection.fold();
        return true;
      }
      if (!this.#records.hasLitter) return false;
      this.#connection.unsynced(() => this.#records.sweep());
      return true;
    });
  }

  close(): void {
    this.#connection.close();
  }

  /** Work on a draft, in a transaction of its own; what it throws is told by the commit. */
  #drafting(draft: number, work: () => void, isSynced = false): void {
    try {
      if (isSynced) this.#connection.transact(work);
      else this.#connection.unsynced(work);
    } catch (error) {
      this.#faults.set(draft, error);
    }
  }

  #end(session: string): void {
    this.#records.forget(session);
    this.#connection.run("DELETE FROM session WHERE id = ?", session);
  }

  #writeHead(session: string, head: string): void {
    this.#connection.run(
      "INSERT INTO session (id, head, digest) VALUES (?, ?, ?) " +
        "ON CONFLICT (id) DO UPDATE SET head = excluded.head, digest = excluded.digest",
      session,
      head,
      digest(session, head),
    );
  }

  #remember(keys: readonly ChangeKey[]): void {
    if (keys.length === 0) return;
    this.#connection.run("DELETE FROM remembered WHERE at <= ?", Date.now() - KEY_LIFETIME_MS);
    for (const { scope, key, hash, answer } of keys) {
      this.#connection.run(
        "INSERT OR REPLACE INTO remembered (scope, key, hash, answer, at, digest) VALUES (?, ?, ?, ?, ?, ?)",
        scope,
        key,
        hash,
        answer,
        Date.now(),
        digest(scope, key, hash, answer),
      );
    }
  }
}
