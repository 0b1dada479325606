/**
 * A session in memory.
 *
 * @module
 */
import type { ChangeKey, Identity, SessionState } from "@/sessions/mod.ts";
import type { Refresher } from "./session_refresher.ts";
import type { SnapshotDraft } from "./session_snapshot.ts";
import { disposeBut } from "./session_transaction.ts";

export interface Live {
  readonly id: string;
  /** Another one each time that a session comes into memory: what is tagged by it is of this state. */
  readonly nonce: string;
  readonly identity: Identity;
  state: SessionState;
  /** The revision that a crash would leave. */
  durableRevision: number;
  /** Keys of changes that are not kept yet (durability refresh). */
  pendingKeys: ChangeKey[];
  /** Whether changes come under keys: then the last preconditioner is kept for answers given again. */
  usesKeys: boolean;
  /** A refresh under way beside the steps. */
  refresher: Refresher | null;
  /** A snapshot under way beside the changes. */
  compaction: SnapshotDraft | null;
  /** The versions of which the log has each layer's basis, to the bit. */
  readonly loggedBases: Map<string, number>;
  /** What replaying the log since the last snapshot would take. */
  log: { bytes: number; milliseconds: number };
  /** By the clock, ms. */
  touchedAt: number;
}

/** A session with this state; nobody has asked anything of it yet. */
export function newLive(id: string, identity: Identity, state: SessionState): Live {
  return {
    id,
    nonce: crypto.randomUUID().slice(0, 8),
    identity,
    state,
    durableRevision: state.revision,
    pendingKeys: [],
    usesKeys: false,
    refresher: null,
    compaction: null,
    loggedBases: new Map([...state.layers.keys()].map((name) => [name, state.version])),
    log: { bytes: 0, milliseconds: 0 },
    touchedAt: Date.now(),
  };
}

/** Gives a session its next state; what the last one alone had is gone. */
export function install(live: Live, state: SessionState): void {
  disposeBut(live.state, state);
  live.state = state;
}

/** Lets go of all tensors of a session. */
export function release({ state, refresher, compaction }: Live): void {
  refresher?.dispose();
  compaction?.discard();
  disposeBut(state, null);
}
