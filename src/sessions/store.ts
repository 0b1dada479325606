/**
 * What keeps sessions: records of bytes, heads, and the keys of answered changes. Nothing here names how.
 *
 * A session is a head (its counters and description), its last snapshot, and the entries since. A record is written as a
 * draft, while its change is computed, or piece by piece beside other changes; it counts from the commit of its change. Record,
 * head and key are there together or not at all, and once `commit` resolves they survive a kill of the process.
 *
 * @module
 */

/** Most bytes of a session's file before its tensors: some 2 KB a layer. */
export const MAX_SNAPSHOT_HEADER_BYTES = 64 * 2 ** 20;

/** Bytes as the parts that follow one another. */
export type Parts = readonly Uint8Array<ArrayBuffer>[];

/** A snapshot stands for all that was before it; an entry is one change since. */
export type RecordKind = "snapshot" | "entry";

export interface NewRecord {
  readonly session: string;
  readonly kind: RecordKind;
  /** Of the session, once the record's change is made. */
  readonly revision: number;
}

export interface StoredRecord extends NewRecord {
  /** In the order in which records were begun. */
  readonly number: number;
  readonly bytes: number;
}

export interface StoredSession {
  readonly id: string;
  /** JSON. */
  readonly head: string;
}

/** A change answered under a key. */
export interface RememberedChange {
  /** Of the request. */
  readonly hash: string;
  /** JSON: what is needed to answer again. */
  readonly answer: string;
}

export interface Change {
  readonly session: string;
  /** JSON; null ends the session. */
  readonly head: string | null;
  /** Of this change, and of changes before it that only now come to be kept. */
  readonly keys?: readonly ChangeKey[];
  /** The record that it completes. */
  readonly draft?: number;
  /** Whether the session is another one from here on: keys of what was before say nothing any more. An end has that too. */
  readonly isAnew?: boolean;
}

export interface ChangeKey extends RememberedChange {
  readonly scope: string;
  readonly key: string;
}

export interface Store {
  sessions(): Promise<StoredSession[]>;
  /**
   * A session's head, its last snapshot and the entries since, in order; null where there is none.
   * @throws CurvdError `store-damaged` naming the session, where anything is not as it was written.
   */
  session(id: string): Promise<{ head: string; records: StoredRecord[] } | null>;
  /** A record's bytes. @throws CurvdError `store-damaged` naming it. */
  read(record: number): Promise<Uint8Array<ArrayBuffer>>;
  remembered(scope: string, key: string): Promise<RememberedChange | null>;
  /**
   * Begins a record; a snapshot stands for what is stored of the session now. `commit` or `discard` ends it.
   * @returns the draft's number.
   */
  begin(record: NewRecord): number;
  /**
   * Writes a piece of a draft; resolves when the next is welcome. A failure is told by the commit.
   * @param isGiven whether the parts' memory goes with them.
   */
  write(draft: number, parts: Parts, isGiven?: boolean): Promise<void>;
  discard(draft: number): void;
  /** @throws CurvdError `store-full`, `store-damaged`; then nothing of the change is there, nor its draft. */
  commit(change: Change): Promise<void>;
  close(): Promise<void>;
}

/** How long a key is remembered. */
export const KEY_LIFETIME_MS = 24 * 60 * 60 * 1000;
