/**
 * A change of a session: one transaction of the device and one of the store, answered when both are done.
 *
 * Its log entry is written while it is computed. If either fails neither is there.
 *
 * @module
 */
import type { Engine } from "@/engine/mod.ts";
import type { SessionState } from "@/sessions/mod.ts";
import type { Document } from "@/wire/mod.ts";
import { plain } from "./session_changes.ts";
import type { HostContext } from "./session_context.ts";
import { eventsOf } from "./session_events.ts";
import { keysOf } from "./session_keys.ts";
import { install, type Live } from "./session_live.ts";
import { type Entry, entryParts, LAST_UPDATE } from "./session_log.ts";
import type { SessionCall } from "./session_protocol.ts";
import { Refresher } from "./session_refresher.ts";
import { disposeBut, type Transacted } from "./session_transaction.ts";
import { transition } from "./session_transition.ts";
import type { StepAnswer } from "./session_update_answer.ts";
import { waiting } from "./turns.ts";

/** Statistics, a refresh, a step, a report or a patch. @throws CurvdError what it is refused for. */
export async function move(
  context: HostContext,
  live: Live,
  call: SessionCall,
): Promise<Document> {
  const { engine, device, together, journal, residents } = context;
  if (call.key) live.usesKeys = true;
  const mayDefer = live.state.settings.refresh.mode === "async";
  const entry: Entry = { call: call.call as Entry["call"], request: call.request, mayDefer };
  const revision = live.state.revision + 1;
  const isLogged = live.identity.durability === "step";
  // δ₀ is a result: such a step is written when it is known
  const isEarly = isLogged && call.request.step_size === undefined;
  const begin = (of: Entry) => journal.begin(live.id, entryParts(of, live.identity), revision);
  let draft = isEarly ? begin(entry) : null;
  let made: Transacted<StepAnswer>, wait_ms: number;
  try {
    ({ result: made, waitMs: wait_ms } = await waiting(
      together,
      () => transition(engine, live, entry, false),
    ));
  } catch (error) {
    if (draft) journal.discard(draft);
    throw error;
  }
  const state: SessionState = { ...made.state, revision };
  try {
    if (isLogged && !draft) {
      draft = begin(await device(() => withLastUpdates(engine, entry, state)));
    }
    const counters = { id: live.id, version: state.version, revision, age: state.age };
    const keys = keysOf(call, { ...counters, ...plain(made.answer.fields) }, state.version);
    const begun = performance.now();
    if (draft) {
      await journal.append(live, draft, state, keys);
      live.log.milliseconds += made.timing.compute_ms + made.timing.read_ms;
    } else if (made.answer.isRefreshed || call.call === "patch") {
      await journal.snapshot(live, state, keys);
    } else live.pendingKeys.push(...keys);
    const store_ms = performance.now() - begun;
    install(live, state);
    residents.add(live);
    if (made.answer.isDue && !live.refresher && mayDefer) {
      live.refresher = Refresher.begin(engine, live.identity, live.state);
    }
    for (const event of eventsOf(live, call.call, made.answer)) context.emit(live.id, event);
    return {
      ...counters,
      ...made.answer.fields,
      durable_revision: live.durableRevision,
      timing: { wait_ms, ...made.timing, store_ms, total_ms: 0 },
      warnings: [],
    };
  } catch (error) {
    disposeBut(state, live.state);
    throw error;
  }
}

/** The entry of a step with the δ₀ it left. */
async function withLastUpdates(
  engine: Engine,
  entry: Entry,
  { layers }: SessionState,
): Promise<Entry> {
  const moved = [...layers].filter(([, { previous }]) => previous.update);
  const arrays = await engine.read(moved.map(([, { previous }]) => previous.update));
  const fields = Object.fromEntries(moved.map(([name, { previous }], i) => [name, {
    ...entry.request.layers![name],
    [LAST_UPDATE]: { dtype: "F32", shape: previous.update.shape, data: arrays[i] },
  }]));
  return {
    ...entry,
    request: { ...entry.request, layers: { ...entry.request.layers, ...fields } },
  };
}
