/**
 * The store in one SQLite file: write-ahead log, every commit synced, one writer.
 *
 * Its calls block, so it lives in a Worker of its own (store_worker.ts). Blobs lie in chunks: SQLite takes none of a
 * gigabyte, and a chunk is what memory must hold twice.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CurvdError } from "@/errors.ts";
import { migrate } from "./sqlite_schema.ts";
import {
  type Change,
  type ChangeKey,
  KEY_LIFETIME_MS,
  type Parts,
  type RecordKind,
  type RememberedChange,
  type StoredRecord,
  type StoredSession,
} from "./store.ts";

const CHUNK_BYTES = 16 * 2 ** 20;
/** The log is cut back to this when it was emptied into the file. */
const LOG_LIMIT_BYTES = 64 * 2 ** 20;

type Row = Record<string, unknown>;

export class SqliteStore {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #isStaged = false;
  #fault: unknown;

  /**
   * Opens a file, or makes it.
   *
   * @param path `:memory:` for a store that ends with the process.
   * @throws CurvdError `store-damaged` where the file is no database, `store-full`, `unsupported`; `conflict` where
   *   another process has it open.
   */
  constructor(private readonly path: string) {
    this.#database = this.#guarded(() => new DatabaseSync(path));
    try {
      this.#prepare();
    } catch (error) {
      this.#database.close(); // and with it the lock
      throw this.#named(error);
    }
  }

  #prepare(): void {
    for (
      const setting of [
        "page_size = 16384",
        "locking_mode = EXCLUSIVE", // a second server on the same file would serve what is not so
        "journal_mode = WAL",
        "synchronous = FULL",
        `journal_size_limit = ${LOG_LIMIT_BYTES}`,
      ]
    ) this.#database.exec(`PRAGMA ${setting}`);
    migrate(this.#database, this.path);
    this.#database.exec("BEGIN IMMEDIATE; COMMIT"); // takes the lock
  }

  sessions(): StoredSession[] {
    return this.#guarded(() =>
      this.#all("SELECT id, head, digest FROM session ORDER BY id").map((row) => {
        this.#expect(row, digest(row.id, row.head), `session "${row.id}"`);
        return { id: row.id as string, head: row.head as string };
      })
    );
  }

  read(session: string): { head: string; records: StoredRecord[] } | null {
    return this.#guarded(() => {
      const [row] = this.#all("SELECT id, head, digest FROM session WHERE id = ?", session);
      if (row === undefined) return null;
      this.#expect(row, digest(row.id, row.head), `session "${session}"`);
      const records = this.#all(
        "SELECT number, session, kind, revision, bytes, digest FROM record WHERE session = ? ORDER BY number",
        session,
      ).map((record) => this.#readRecord(record));
      return { head: row.head as string, records };
    });
  }

  #readRecord(row: Row): StoredRecord {
    const { number, session, kind, revision } = row;
    const what = `${kind} of session "${session}" at revision ${revision}`;
    this.#expect(row, digestOfRecord(row), what);
    const bytes = new Uint8Array(Number(row.bytes));
    let filled = 0;
    for (
      const chunk of this.#iterate(
        "SELECT part, digest, bytes FROM chunk WHERE record = ? ORDER BY part",
        number,
      )
    ) {
      const data = chunk.bytes as Uint8Array;
      this.#expect(chunk, digest(number, chunk.part, data), `${what}, chunk ${chunk.part}`);
      if (filled + data.length > bytes.length) throw this.#damaged(what);
      bytes.set(data, filled);
      filled += data.length;
    }
    if (filled !== bytes.length) throw this.#damaged(what);
    return { kind: kind as RecordKind, revision: Number(revision), bytes };
  }

  remembered(scope: string, key: string): RememberedChange | null {
    return this.#guarded(() => {
      const [row] = this.#all(
        "SELECT hash, answer, digest FROM remembered WHERE scope = ? AND key = ? AND at > ?",
        scope,
        key,
        Date.now() - KEY_LIFETIME_MS,
      );
      if (row === undefined) return null;
      this.#expect(row, digest(scope, key, row.hash, row.answer), `key "${key}" of "${scope}"`);
      return { hash: row.hash as string, answer: row.answer as string };
    });
  }

  stage(session: string, kind: RecordKind, revision: number, parts: Parts): void {
    try {
      this.#begin();
      if (kind === "snapshot") this.#forget(session);
      const bytes = parts.reduce((sum, part) => sum + part.length, 0);
      const row = { session, kind, revision, bytes };
      const { lastInsertRowid } = this.#run(
        "INSERT INTO record (session, kind, revision, bytes, digest) VALUES (?, ?, ?, ?, ?)",
        session,
        kind,
        revision,
        bytes,
        digestOfRecord(row),
      );
      this.#writeChunks(Number(lastInsertRowid), parts);
    } catch (error) {
      this.#fault = error; // told by the commit
    }
  }

  #writeChunks(record: number, parts: Parts): void {
    let chunk = 0;
    for (const part of parts) {
      for (let at = 0; at < part.length; at += CHUNK_BYTES) {
        const bytes = part.subarray(at, at + CHUNK_BYTES);
        this.#run(
          "INSERT INTO chunk (record, part, digest, bytes) VALUES (?, ?, ?, ?)",
          record,
          chunk,
          digest(record, chunk, bytes),
          bytes,
        );
        chunk++;
      }
    }
  }

  commit({ session, head, keys = [] }: Change): void {
    try {
      if (this.#fault !== undefined) throw this.#fault;
      this.#begin();
      if (head === null) {
        this.#forget(session);
        this.#run("DELETE FROM session WHERE id = ?", session);
      } else {
        this.#run(
          "INSERT INTO session (id, head, digest) VALUES (?, ?, ?) " +
            "ON CONFLICT (id) DO UPDATE SET head = excluded.head, digest = excluded.digest",
          session,
          head,
          digest(session, head),
        );
      }
      this.#remember(keys);
      this.#database.exec("COMMIT");
      this.#isStaged = false;
    } catch (error) {
      this.discard();
      throw this.#named(error);
    }
  }

  #remember(keys: readonly ChangeKey[]): void {
    if (keys.length === 0) return;
    this.#run("DELETE FROM remembered WHERE at <= ?", Date.now() - KEY_LIFETIME_MS);
    for (const { scope, key, hash, answer } of keys) {
      this.#run(
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

  discard(): void {
    this.#fault = undefined;
    if (!this.#isStaged) return;
    this.#isStaged = false;
    try {
      this.#database.exec("ROLLBACK");
    } catch {
      // a full disk has rolled back by itself
    }
  }

  close(): void {
    this.discard();
    this.#statements.clear();
    this.#database.close();
  }

  #begin(): void {
    if (this.#isStaged) return;
    this.#database.exec("BEGIN IMMEDIATE");
    this.#isStaged = true;
  }

  #forget(session: string): void {
    this.#run(
      "DELETE FROM chunk WHERE record IN (SELECT number FROM record WHERE session = ?)",
      session,
    );
    this.#run("DELETE FROM record WHERE session = ?", session);
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #all(sql: string, ...values: unknown[]): Row[] {
    return this.#prepared(sql).all(...values as never[]) as Row[];
  }

  #iterate(sql: string, ...values: unknown[]): Iterable<Row> {
    return this.#prepared(sql).iterate(...values as never[]) as Iterable<Row>;
  }

  #run(sql: string, ...values: unknown[]) {
    return this.#prepared(sql).run(...values as never[]);
  }

  #expect(row: Row, actual: Uint8Array, what: string): void {
    const stated = row.digest as Uint8Array;
    if (stated.length === actual.length && timingSafeEqual(stated, actual)) return;
    throw this.#damaged(what);
  }

  #damaged(what: string, cause?: unknown): CurvdError {
    return new CurvdError(
      "store-damaged",
      `The store is damaged: ${what} in ${this.path} is not as it was written`,
      { value: what },
      { cause },
    );
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.#named(error);
    }
  }

  /** SQLite's failures in our words: it is told by its fixed messages, as Deno gives no result codes. */
  #named(error: unknown): unknown {
    if (error instanceof CurvdError || !(error instanceof Error)) return error;
    const { message } = error;
    const because = { cause: error };
    if (/is locked/.test(message)) {
      return new CurvdError("conflict", `Another process has ${this.path} open`, {}, because);
    }
    if (/is full|disk I\/O error|readonly database|unable to open database/.test(message)) {
      return new CurvdError("store-full", `The store cannot write to ${this.path}: ${message}`, {
        suggestion: "disk space, or a folder that may be written, in CURVD_DATA",
      }, because);
    }
    if (/malformed|not a database/.test(message)) return this.#damaged("the file", error);
    return error;
  }
}

/** SHA-256 of values one after another, each with its length. */
function digest(...values: unknown[]): Uint8Array {
  const hash = createHash("sha256");
  for (const value of values) {
    const bytes = value instanceof Uint8Array ? value : String(value);
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest();
}

function digestOfRecord({ session, kind, revision, bytes }: Row): Uint8Array {
  return digest(session, kind, Number(revision), Number(bytes));
}
