/**
 * What keeps sessions: records of bytes, heads, and the keys of answered changes. Nothing here names how.
 *
 * A session is a head (its counters and description), its last snapshot, and the entries since. A change is one
 * transaction: its record, the head and the key are there together or not at all, and once `commit` resolves they survive a
 * kill of the process.
 *
 * @module
 */

/** Bytes as the parts that follow one another. */
export type Parts = readonly Uint8Array<ArrayBuffer>[];

/** A snapshot stands for all that was before it; an entry is one change since. */
export type RecordKind = "snapshot" | "entry";

export interface StoredRecord {
  readonly kind: RecordKind;
  readonly revision: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
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
  read(session: string): Promise<{ head: string; records: StoredRecord[] } | null>;
  remembered(scope: string, key: string): Promise<RememberedChange | null>;
  /**
   * Begins the transaction of a change by writing its record; `commit` or `discard` ends it. The caller computes meanwhile:
   * a failure is told by `commit`.
   */
  stage(session: string, kind: RecordKind, revision: number, parts: Parts): void;
  /** @throws CurvdError `store-full`, `store-damaged`; then nothing of the change is there. */
  commit(change: Change): Promise<void>;
  /** Takes back what was staged. */
  discard(): void;
  close(): Promise<void>;
}

/** How long a key is remembered. */
export const KEY_LIFETIME_MS = 24 * 60 * 60 * 1000;
