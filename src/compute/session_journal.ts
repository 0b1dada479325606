/**
 * How sessions are written: a change as an entry of the log, now and then the whole as a snapshot.
 *
 * An entry is written while its change is computed, and committed with the head and the keys: they are there together or not
 * at all. The store has one transaction at a time. Whose change is done first is committed first: the entry of another, begun
 * meanwhile, is taken back and written with its own commit.
 *
 * @module
 */
import type { Engine } from "@/engine/mod.ts";
import {
  bytesOf,
  type Change,
  type ChangeKey,
  checkpointOf,
  headOf,
  type Parts,
  type RecordKind,
  type SessionState,
  type Store,
} from "@/sessions/mod.ts";
import { encodeDocument, PLAIN_OUTPUT } from "@/wire/mod.ts";
import type { Live } from "./session_live.ts";
import { type Entry, entryParts } from "./session_log.ts";
import { oneAtATime, type Turn } from "./turns.ts";

/** Recovery is bounded by these: a log beyond either is replaced by a snapshot. */
const LOG_LIMIT_BYTES = 256 * 2 ** 20;
const LOG_LIMIT_MS = 5000;

/** A record that is to be committed. */
export interface Draft {
  readonly session: string;
  readonly kind: RecordKind;
  readonly revision: number;
  readonly parts: Parts;
}

export class Journal {
  /** Records whose changes are being computed, in the order they came. */
  readonly #drafts = new Set<Draft>();
  /** The one that the store's transaction has. */
  #staged: Draft | null = null;
  readonly #commits = oneAtATime();

  constructor(
    private readonly engine: Engine,
    private readonly store: Store,
    private readonly device: Turn,
  ) {}

  /** Begins to write an entry; {@linkcode append} or {@linkcode discard} ends it. */
  begin({ id, identity }: Live, entry: Entry, revision: number): Draft {
    const parts = entryParts(entry, identity);
    const draft: Draft = { session: id, kind: "entry", revision, parts };
    this.#drafts.add(draft);
    this.#stageNext();
    return draft;
  }

  /** Takes back an entry whose change failed. */
  discard(draft: Draft): void {
    this.#drafts.delete(draft);
    if (this.#staged !== draft) return;
    this.store.discard();
    this.#staged = null;
    this.#stageNext();
  }

  /** Commits an entry with the state that it led to; also where that fails the entry is gone. @throws CurvdError of the store. */
  async append(
    live: Live,
    draft: Draft,
    state: SessionState,
    keys: readonly ChangeKey[] = [],
  ): Promise<void> {
    const all = [...live.pendingKeys, ...keys];
    const head = JSON.stringify(headOf(live.identity, state));
    await this.#commit({ session: live.id, head, keys: all }, draft);
    live.pendingKeys = live.pendingKeys.filter((key) => !all.includes(key));
    live.durableRevision = state.revision;
  }

  /** Writes a session whole; its log begins anew. @throws CurvdError of the store. */
  async snapshot(live: Live, state: SessionState, keys: readonly ChangeKey[] = []): Promise<void> {
    const { id, identity } = live;
    const document = await this.device(() => checkpointOf(this.engine, identity, state));
    const parts = encodeDocument(document, "safetensors", PLAIN_OUTPUT);
    const draft: Draft = { session: id, kind: "snapshot", revision: state.revision, parts };
    await this.append(live, draft, state, keys);
    live.log = { bytes: 0, milliseconds: 0 };
  }

  /** Ends a session. @throws CurvdError of the store. */
  async end(session: string, keys: readonly ChangeKey[]): Promise<void> {
    await this.#commit({ session, head: null, keys });
  }

  /** Whether what was logged since the last snapshot is worth another. */
  isLong({ log: { bytes, milliseconds }, state }: Live): boolean {
    return bytes > Math.max(LOG_LIMIT_BYTES, 2 * bytesOf(state)) || milliseconds > LOG_LIMIT_MS;
  }

  #commit(change: Change, draft: Draft | null = null): Promise<void> {
    return this.#commits(async () => {
      if (this.#staged !== draft) {
        if (this.#staged) this.store.discard();
        this.#staged = draft;
        if (draft) this.#stage(draft);
      }
      try {
        await this.store.commit(change);
      } finally {
        if (draft) this.#drafts.delete(draft);
        if (this.#staged === draft) this.#staged = null; // an entry that came meanwhile has its own
        this.#stageNext();
      }
    });
  }

  /** Writes the next entry ahead of its commit, where no other is being written. */
  #stageNext(): void {
    const [next] = this.#drafts;
    if (this.#staged !== null || next === undefined) return;
    this.#staged = next;
    this.#stage(next);
  }

  #stage({ session, kind, revision, parts }: Draft): void {
    this.store.stage(session, kind, revision, parts);
  }
}

/** Bytes of a record. */
export function bytesOfDraft({ parts }: Draft): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}
