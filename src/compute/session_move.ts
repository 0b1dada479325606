/**
 * A change of a session: one transaction of the device and one of the store, answered when both are done.
 *
 * Its log entry is written while it is computed. If either fails neither is there.
 *
 * @module
 */
import type { SessionState } from "@/sessions/mod.ts";
import type { Document } from "@/wire/mod.ts";
import { plain } from "./session_changes.ts";
import type { HostContext } from "./session_context.ts";
import { EntryWriter } from "./session_entry.ts";
import { eventsOf } from "./session_events.ts";
import { keysOf } from "./session_keys.ts";
import { install, type Live } from "./session_live.ts";
import type { Entry } from "./session_log.ts";
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
  const writer = isLogged ? new EntryWriter(engine, device, journal, live, entry, revision) : null;
  let made: Transacted<StepAnswer>, wait_ms: number;
  try {
    ({ result: made, waitMs: wait_ms } = await waiting(
      together,
      () => transition(engine, live, entry, { whenTaken: writer?.whenTaken }),
    ));
  } catch (error) {
    await writer?.discard();
    throw error;
  }
  const state: SessionState = { ...made.state, revision };
  try {
    const counters = { id: live.id, version: state.version, revision, age: state.age };
    const keys = keysOf(call, { ...counters, ...plain(made.answer.fields) }, state.version);
    const begun = performance.now();
    if (writer) {
      await journal.append(live, await writer.finish(state), state, keys);
      writer.committed(state);
      live.log.milliseconds += made.timing.compute_ms + made.timing.read_ms;
    } else if (made.answer.isRefreshed || call.call === "patch") {
      await journal.snapshot(live, state, keys);
    } else live.pendingKeys.push(...keys);
    const store_ms = performance.now() - begun;
    install(live, state);
    residents.add(live);
    if (made.answer.isRefreshed && live.refresher) {
      live.refresher.dispose(); // what is under way is of older averages
      live.refresher = null;
    }
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
