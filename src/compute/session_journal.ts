/**
 * How sessions are written: a change as an entry of the log, now and then the whole as a snapshot.
 *
 * An entry is written while its change is computed, and committed with the head and the keys: they are there together or not
 * at all.
 *
 * @module
 */
import type { Engine } from "@/engine/mod.ts";
import {
  bytesOf,
  type ChangeKey,
  checkpointOf,
  headOf,
  type SessionState,
  type Store,
} from "@/sessions/mod.ts";
import { encodeDocument, PLAIN_OUTPUT } from "@/wire/mod.ts";
import type { Live } from "./session_live.ts";
import { type Entry, entryParts } from "./session_log.ts";

/** Recovery is bounded by these: a log beyond either is replaced by a snapshot. */
const LOG_LIMIT_BYTES = 256 * 2 ** 20;
const LOG_LIMIT_MS = 5000;

export class Journal {
  constructor(private readonly engine: Engine, private readonly store: Store) {}

  /** Begins to write an entry; {@linkcode append} or {@linkcode discard} ends it. @returns its bytes. */
  stage({ id, identity }: Live, entry: Entry, revision: number): number {
    const parts = entryParts(entry, identity);
    this.store.stage(id, "entry", revision, parts);
    return parts.reduce((sum, part) => sum + part.length, 0);
  }

  discard(): void {
    this.store.discard();
  }

  /** Commits the entry that was staged, with the state that it led to. @throws CurvdError of the store. */
  async append(live: Live, state: SessionState, keys: readonly ChangeKey[] = []): Promise<void> {
    const head = JSON.stringify(headOf(live.identity, state));
    await this.store.commit({ session: live.id, head, keys: [...live.pendingKeys, ...keys] });
    live.pendingKeys = [];
    live.durableRevision = state.revision;
  }

  /** Writes a session whole; its log begins anew. @throws CurvdError of the store. */
  async snapshot(live: Live, state: SessionState, keys: readonly ChangeKey[] = []): Promise<void> {
    const document = await checkpointOf(this.engine, live.identity, state);
    const parts = encodeDocument(document, "safetensors", PLAIN_OUTPUT);
    this.store.stage(live.id, "snapshot", state.revision, parts);
    await this.append(live, state, keys);
    live.log = { bytes: 0, milliseconds: 0 };
  }

  /** Ends a session. */
  async end(session: string, keys: readonly ChangeKey[]): Promise<void> {
    await this.store.commit({ session, head: null, keys });
  }

  /** Whether what was logged since the last snapshot is worth another. */
  isLong({ log: { bytes, milliseconds }, state }: Live): boolean {
    return bytes > Math.max(LOG_LIMIT_BYTES, 2 * bytesOf(state)) || milliseconds > LOG_LIMIT_MS;
  }
}
