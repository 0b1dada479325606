/**
 * How sessions are written: a change as an entry of the log, now and then the whole as a snapshot.
 *
 * An entry is written while its change is computed, and committed with the head and the keys: they are there together or not
 * at all. A snapshot is written piece by piece between the calls: it is of the state that it began with, and the entries that
 * came meanwhile follow it.
 *
 * Recovery is so bounded: it reads a snapshot and a log of at most 256 MiB, or twice the session where that is more, and
 * replays at most five seconds of work, and each of these by one entry more.
 *
 * @module
 */
import type { Engine } from "@/engine/mod.ts";
import {
  bytesOf,
  type ChangeKey,
  headOf,
  type Parts,
  type SessionState,
  type Store,
} from "@/sessions/mod.ts";
import type { Live } from "./session_live.ts";
import { SnapshotDraft } from "./session_snapshot.ts";
import type { Turn } from "./turns.ts";

/** A log beyond either, or beyond twice its session where that is more bytes, is replaced by a snapshot. */
export interface LogLimits {
  readonly bytes: number;
  /** Of the work that replaying it takes. */
  readonly milliseconds: number;
}
const LIMITS: LogLimits = { bytes: 256 * 2 ** 20, milliseconds: 5000 };

/** An entry that is being written. */
export interface Draft {
  readonly number: number;
  readonly bytes: number;
}

export class Journal {
  constructor(
    private readonly engine: Engine,
    private readonly store: Store,
    private readonly device: Turn,
    private readonly limits = LIMITS,
  ) {}

  /** Begins to write an entry; {@linkcode append} or {@linkcode discard} ends it. */
  begin(session: string, parts: Parts, revision: number): Draft {
    const number = this.store.begin({ session, kind: "entry", revision });
    this.store.write(number, parts);
    return { number, bytes: parts.reduce((sum, part) => sum + part.length, 0) };
  }

  /** Takes back an entry whose change failed. */
  discard(draft: Draft): void {
    this.store.discard(draft.number);
  }

  /** Commits an entry with the state that it led to; also where that fails the entry is gone. @throws CurvdError of the store. */
  async append(
    live: Live,
    draft: Draft,
    state: SessionState,
    keys: readonly ChangeKey[] = [],
  ): Promise<void> {
    await this.#commit(live, draft.number, state, keys);
    live.log.bytes += draft.bytes;
  }

  /** Writes a session whole; its log begins anew. @throws CurvdError of the store. */
  snapshot(live: Live, state: SessionState, keys: readonly ChangeKey[] = []): Promise<void> {
    return this.#snapshot(live, state, keys);
  }

  /** The same of a session that is new, or another than before. @throws CurvdError of the store. */
  open(live: Live, keys: readonly ChangeKey[]): Promise<void> {
    return this.#snapshot(live, live.state, keys, true);
  }

  async #snapshot(
    live: Live,
    state: SessionState,
    keys: readonly ChangeKey[],
    isAnew = false,
  ): Promise<void> {
    live.compaction?.discard();
    live.compaction = null;
    const draft = new SnapshotDraft(this.store, live, state);
    try {
      while (await draft.advance(this.engine, this.device));
      await this.#commit(live, draft.number, state, keys, isAnew);
    } catch (error) {
      draft.discard();
      throw error;
    }
    live.log = { bytes: 0, milliseconds: 0 };
  }

  /** Whether a snapshot is being written, or what was logged since the last is worth another. */
  owesSnapshot({ log: { bytes, milliseconds }, state, compaction }: Live): boolean {
    return compaction !== null || bytes > Math.max(this.limits.bytes, 2 * bytesOf(state)) ||
      milliseconds > this.limits.milliseconds;
  }

  /** Writes a piece of a snapshot between the calls. @throws CurvdError of the store; then none is begun. */
  async compact(live: Live): Promise<void> {
    const draft = live.compaction ??= new SnapshotDraft(this.store, live, live.state);
    try {
      if (await draft.advance(this.engine, this.device)) return;
      await this.#commit(live, draft.number, live.state, []);
    } catch (error) {
      draft.discard();
      live.compaction = null;
      throw error;
    }
    live.compaction = null;
    live.log.bytes -= draft.log.bytes;
    live.log.milliseconds -= draft.log.milliseconds;
  }

  /** Ends a session. @throws CurvdError of the store. */
  async end(session: string, keys: readonly ChangeKey[]): Promise<void> {
    await this.store.commit({ session, head: null, keys });
  }

  async #commit(
    live: Live,
    draft: number,
    state: SessionState,
    keys: readonly ChangeKey[],
    isAnew = false,
  ): Promise<void> {
    const all = [...live.pendingKeys, ...keys];
    const head = JSON.stringify(headOf(live.identity, state));
    await this.store.commit({ session: live.id, head, keys: all, draft, isAnew });
    live.pendingKeys = live.pendingKeys.filter((key) => !all.includes(key));
    live.durableRevision = state.revision;
  }
}
