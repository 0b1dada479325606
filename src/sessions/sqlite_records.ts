/**
 * Records as rows: bytes in chunks, each with its digest.
 *
 * SQLite takes no blob of a gigabyte, and a chunk is what memory must hold twice. A record is a draft, of kind `pending`, until
 * the change that completes it. One that is let go loses its row at once and its chunks later: freeing a gigabyte takes time
 * that no change should wait for.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { type Connection, digest, type Row } from "./sqlite_connection.ts";
import type { NewRecord, Parts, RecordKind, StoredRecord } from "./store.ts";

const CHUNK_BYTES = 16 * 2 ** 20;
/** Chunks freed at a time. */
const SWEPT_CHUNKS = 2;

/** A record that is being written. */
interface Draft extends NewRecord {
  readonly number: number;
  chunks: number;
  bytes: number;
}

export class Records {
  /** Numbers of records that are gone and whose chunks are still there. */
  readonly #litter: number[];
  /** By the numbers that their writers gave them. */
  readonly #drafts = new Map<number, Draft>();

  constructor(private readonly connection: Connection) {
    // what a process that ended had begun
    connection.run("DELETE FROM record WHERE kind = 'pending'");
    this.#litter = connection.all(
      "SELECT DISTINCT record FROM chunk WHERE record NOT IN (SELECT number FROM record)",
    ).map(({ record }) => Number(record));
  }

  /** A session's last snapshot and the entries since. */
  of(session: string): StoredRecord[] {
    return this.connection.all(
      "SELECT number, session, kind, revision, bytes, digest FROM record " +
        "WHERE session = ? AND kind <> 'pending' ORDER BY number",
      session,
    ).map((row) => {
      const { number, kind, revision, bytes } = row;
      this.connection.expect(row, digestOf(row), nameOf(row));
      return {
        number: Number(number),
        session,
        kind: kind as RecordKind,
        revision: Number(revision),
        bytes: Number(bytes),
      };
    });
  }

  /** A record's bytes, every chunk of them held against its digest. */
  read(number: number): Uint8Array<ArrayBuffer> {
    const [row] = this.connection.all(
      "SELECT number, session, kind, revision, bytes, digest FROM record WHERE number = ?",
      number,
    );
    if (row === undefined) throw this.connection.damaged(`record ${number}`);
    const what = nameOf(row);
    this.connection.expect(row, digestOf(row), what);
    const bytes = new Uint8Array(Number(row.bytes));
    let filled = 0;
    for (
      const chunk of this.connection.iterate(
        "SELECT part, digest, bytes FROM chunk WHERE record = ? ORDER BY part",
        number,
      )
    ) {
      const data = chunk.bytes as Uint8Array;
      const actual = digest(number, chunk.part, data);
      this.connection.expect(chunk, actual, `${what}, chunk ${chunk.part}`);
      if (filled + data.length > bytes.length) throw this.connection.damaged(what);
      bytes.set(data, filled);
      filled += data.length;
    }
    if (filled !== bytes.length) throw this.connection.damaged(what);
    return bytes;
  }

  /** Begins a record: a snapshot stands for the records that are there now. */
  begin(draft: number, record: NewRecord): void {
    const number = this.#insert({ ...record, kind: "pending", bytes: 0 });
    this.#drafts.set(draft, { ...record, number, chunks: 0, bytes: 0 });
  }

  /** Writes a piece of a record. */
  write(draft: number, parts: Parts): void {
    const record = this.#draft(draft);
    for (const part of parts) {
      for (let at = 0; at < part.length; at += CHUNK_BYTES) {
        this.#writeChunk(record, part.subarray(at, at + CHUNK_BYTES));
      }
    }
  }

  /** Makes a draft a record of its session, within the transaction of a change; what a snapshot stands for is let go. */
  complete(draft: number): void {
    const { number, session, kind, revision, bytes } = this.#draft(draft);
    if (kind === "snapshot") this.forget(session, number);
    this.connection.run(
      "UPDATE record SET kind = ?, bytes = ?, digest = ? WHERE number = ?",
      kind,
      bytes,
      digestOf({ session, kind, revision, bytes }),
      number,
    );
  }

  /** After the transaction of {@linkcode complete}. */
  completed(draft: number): void {
    this.#drafts.delete(draft);
  }

  /** Lets go of a draft, if it is there. */
  discard(draft: number): void {
    const record = this.#drafts.get(draft);
    if (record === undefined) return;
    this.#drafts.delete(draft);
    this.connection.run("DELETE FROM record WHERE number = ?", record.number);
    this.#litter.push(record.number);
  }

  discardAll(): void {
    for (const draft of [...this.#drafts.keys()]) this.discard(draft);
  }

  /** Lets go of a session's records; drafts stay. @param before number of the first that stays. */
  forget(session: string, before = Number.MAX_SAFE_INTEGER): void {
    const gone = this.connection.all(
      "DELETE FROM record WHERE session = ? AND number < ? AND kind <> 'pending' RETURNING number",
      session,
      before,
    );
    this.#litter.push(...gone.map(({ number }) => Number(number)));
  }

  get hasLitter(): boolean {
    return this.#litter.length > 0;
  }

  /** Frees a few chunks of records that are gone. */
  sweep(): void {
    const number = this.#litter.at(-1)!;
    const { changes } = this.connection.run(
      "DELETE FROM chunk WHERE record = ? AND NOT EXISTS (SELECT 1 FROM record WHERE number = ?) " +
        `AND part IN (SELECT part FROM chunk WHERE record = ? LIMIT ${SWEPT_CHUNKS})`,
      number,
      number, // a transaction that was rolled back has brought it back
      number,
    );
    if (changes < SWEPT_CHUNKS) this.#litter.pop();
  }

  #draft(draft: number): Draft {
    const record = this.#drafts.get(draft);
    if (record !== undefined) return record;
    throw new CurvdError("internal", `Nothing was begun as draft ${draft}`);
  }

  #insert(row: Omit<NewRecord, "kind"> & { kind: string; bytes: number }): number {
    const { session, kind, revision, bytes } = row;
    return this.connection.run(
      "INSERT INTO record (session, kind, revision, bytes, digest) VALUES (?, ?, ?, ?, ?)",
      session,
      kind,
      revision,
      bytes,
      digestOf({ ...row }),
    ).lastInsertRowid;
  }

  #writeChunk(record: Draft, bytes: Uint8Array): void {
    this.connection.run(
      "INSERT INTO chunk (record, part, digest, bytes) VALUES (?, ?, ?, ?)",
      record.number,
      record.chunks,
      digest(record.number, record.chunks, bytes),
      bytes,
    );
    record.chunks++;
    record.bytes += bytes.length;
  }
}

function nameOf({ kind, session, revision }: Row): string {
  return `${kind} of session "${session}" at revision ${revision}`;
}

function digestOf({ session, kind, revision, bytes }: Row): Uint8Array {
  return digest(session, kind, Number(revision), Number(bytes));
}
