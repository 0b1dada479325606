/**
 * One SQLite file, held open by this process alone: write-ahead log, statements prepared once, failures in our words.
 *
 * The log is folded into the file by whoever has the time ({@linkcode Connection.fold}), never by a commit: that would make
 * one commit in a few wait for everything the others wrote.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CurvdError } from "@/errors.ts";
import { migrate } from "./sqlite_schema.ts";

/** Large, as nearly all bytes are those of blobs. */
const PAGE_BYTES = 16 * 2 ** 10;
/** The log's file is cut back to this when it was folded. */
const KEPT_LOG_BYTES = 64 * 2 ** 20;

export type Row = Record<string, unknown>;

export class Connection {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /**
   * Opens a file, or makes it.
   *
   * @param path `:memory:` for a store that ends with the process.
   * @throws CurvdError `store-damaged` where the file is no database, `store-full`, `unsupported`; `conflict` where
   *   another process has it open.
   */
  constructor(readonly path: string) {
    this.#database = this.guarded(() => new DatabaseSync(path));
    try {
      this.#prepare();
    } catch (error) {
      this.#database.close(); // and with it the lock
      throw this.named(error);
    }
  }

  #prepare(): void {
    for (
      const setting of [
        `page_size = ${PAGE_BYTES}`,
        "locking_mode = EXCLUSIVE", // a second server on the same file would serve what is not so
        "journal_mode = WAL",
        "synchronous = FULL",
        "wal_autocheckpoint = 0",
        `journal_size_limit = ${KEPT_LOG_BYTES}`,
      ]
    ) this.exec(`PRAGMA ${setting}`);
    migrate(this.#database, this.path);
    this.exec("BEGIN IMMEDIATE; COMMIT"); // takes the lock
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  all(sql: string, ...values: unknown[]): Row[] {
    return this.#prepared(sql).all(...values as never[]) as Row[];
  }

  /** Rows one at a time, so that only one row's blob is held. */
  iterate(sql: string, ...values: unknown[]): Iterable<Row> {
    return this.#prepared(sql).iterate(...values as never[]) as Iterable<Row>;
  }

  run(sql: string, ...values: unknown[]): { lastInsertRowid: number; changes: number } {
    const { lastInsertRowid, changes } = this.#prepared(sql).run(...values as never[]);
    return { lastInsertRowid: Number(lastInsertRowid), changes: Number(changes) };
  }

  /** A transaction: all of it or nothing, and on the disk when this returns. */
  transact(work: () => void): void {
    this.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.exec("COMMIT");
    } catch (error) {
      this.#rollback();
      throw error;
    }
  }

  /**
   * A transaction whose loss in a power cut would do no harm: what it wrote is synced with the next commit that must last,
   * or when the log is folded.
   */
  unsynced(work: () => void): void {
    this.exec("PRAGMA synchronous = NORMAL");
    try {
      this.transact(work);
    } finally {
      this.exec("PRAGMA synchronous = FULL");
    }
  }

  /** Folds the log into the file; nothing may be under way. @returns bytes of log that are left. */
  fold(): number {
    const [{ log, checkpointed }] = this.all("PRAGMA wal_checkpoint(PASSIVE)");
    return Math.max(0, (Number(log) - Number(checkpointed)) * PAGE_BYTES);
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  /** Refuses a row whose digest is not that of what it says. @throws CurvdError `store-damaged` naming it. */
  expect(row: Row, actual: Uint8Array, what: string): void {
    const stated = row.digest as Uint8Array;
    if (stated.length === actual.length && timingSafeEqual(stated, actual)) return;
    throw this.damaged(what);
  }

  damaged(what: string, cause?: unknown): CurvdError {
    return new CurvdError(
      "store-damaged",
      `The store is damaged: ${what} in ${this.path} is not as it was written`,
      { value: what },
      { cause },
    );
  }

  guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.named(error);
    }
  }

  /** SQLite's failures in our words: it is told by its fixed messages, as Deno gives no result codes. */
  named(error: unknown): unknown {
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
    if (/malformed|not a database/.test(message)) return this.damaged("the file", error);
    return error;
  }

  #rollback(): void {
    try {
      this.exec("ROLLBACK");
    } catch {
      // a full disk has rolled back by itself
    }
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** SHA-256 of values one after another, each with its length. */
export function digest(...values: unknown[]): Uint8Array {
  const hash = createHash("sha256");
  for (const value of values) {
    const bytes = value instanceof Uint8Array ? value : String(value);
    hash.update(`${bytes.length}:`).update(bytes);
  }
  return hash.digest();
}
