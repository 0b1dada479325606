/**
 * A session brought back from the store: the last snapshot, and the log since, replayed.
 *
 * Replay makes the same batches in the same order, refreshes beside the steps included: an entry `install` says which
 * revision's averages the preconditioner was made of.
 *
 * @module
 */
import { keep } from "@tensorflow/tfjs-core";
import {
  type Head,
  headIn,
  type Identity,
  MAX_SNAPSHOT_HEADER_BYTES,
  type SessionState,
  stateOf,
  type Store,
  withLayers,
} from "@/sessions/mod.ts";
import { decodeSafetensors, readLayout } from "@/wire/mod.ts";
import { upload } from "./ingest.ts";
import { damaged, withLastUpdates } from "./session_changes.ts";
import type { HostContext } from "./session_context.ts";
import { install, type Live, newLive, release } from "./session_live.ts";
import { entryOf } from "./session_log.ts";
import { Refresher } from "./session_refresher.ts";
import { transition } from "./session_transition.ts";

/**
 * The session as it was last answered.
 *
 * @throws CurvdError `store-damaged` naming what is not as it was written.
 */
export async function recover(
  { engine, device }: Pick<HostContext, "engine" | "device">,
  store: Store,
  id: string,
): Promise<Live> {
  const stored = await store.session(id);
  const [first, ...rest] = stored?.records ?? [];
  if (first?.kind !== "snapshot") throw damaged(id, "it has no snapshot");
  const { identity, state } = snapshotIn(await store.read(first.number));
  const live = newLive(id, identity, state);
  try {
    const entries: Logged[] = [];
    for (const { number, revision } of rest) {
      entries.push({ ...entryOf(await store.read(number)), revision });
    }
    const begun = new Set(entries.flatMap(({ entry: { of } }) => of === undefined ? [] : [of]));
    for (const logged of entries) {
      const { entry } = logged;
      await device(() => replay(engine, live, logged)); // a turn each: others' steps go between
      if (begun.has(live.state.revision) && entry.call !== "install") {
        live.refresher = Refresher.begin(engine, identity, live.state);
      }
    }
    const head: Head = JSON.parse(stored!.head);
    const { revision } = live.state;
    if (head.state.revision !== revision) {
      throw damaged(id, `its log ends at revision ${revision} of ${head.state.revision}`);
    }
    live.state = withDiagnostics(live.state, head);
  } catch (error) {
    release(live);
    throw error;
  }
  live.refresher?.dispose();
  live.refresher = null;
  live.log.bytes = rest.reduce((sum, { bytes }) => sum + bytes, 0);
  live.durableRevision = live.state.revision;
  return live;
}

/** What was found out of a basis that the log has is not found out again: the head says it. */
function withDiagnostics(state: SessionState, head: Head): SessionState {
  return withLayers(
    state,
    head.state.layers.map(({ name, diagnostics }) =>
      [name, { ...state.layers.get(name)!, diagnostics }] as const
    ),
  );
}

/** The session of a snapshot; its tensors are kept. */
function snapshotIn(bytes: Uint8Array<ArrayBuffer>): { identity: Identity; state: SessionState } {
  const layout = readLayout(bytes, { maxHeaderBytes: MAX_SNAPSHOT_HEADER_BYTES });
  const { metadata, tensors } = decodeSafetensors(bytes, layout);
  const head = headIn(metadata);
  const onDevice = [...tensors].map(([name, wire]) => [name, keep(upload(wire))] as const);
  return { identity: head.identity, state: stateOf(head, new Map(onDevice)) };
}

/** An entry as the store has it. */
interface Logged extends ReturnType<typeof entryOf> {
  readonly revision: number;
}

async function replay(
  engine: HostContext["engine"],
  live: Live,
  { entry, remains, revision }: Logged,
): Promise<void> {
  if (entry.call === "install") {
    const { refresher } = live;
    if (!refresher) throw damaged(live.id, `nothing was begun at revision ${entry.of}`);
    await refresher.finish();
    install(live, refresher.installed(live.state, live.usesKeys));
    refresher.dispose();
    live.refresher = null;
    return;
  }
  const made = await transition(engine, live, entry, { remains });
  install(live, withLastUpdates({ ...made.state, revision }, entry));
  for (const [name, left] of remains) {
    if ("forms/Q_A" in left) live.loggedBases.set(name, live.state.version);
  }
  live.log.milliseconds += made.timing.compute_ms + made.timing.read_ms;
}
