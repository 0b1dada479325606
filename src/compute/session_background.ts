/**
 * Work that sessions have put off: slices of a refresh beside the steps, a snapshot in place of a long log.
 *
 * @module
 */
import { faultOf, log } from "@/log.ts";
import type { HostContext } from "./session_context.ts";
import { eventsOf } from "./session_events.ts";
import { install, type Live } from "./session_live.ts";
import { type Entry, entryParts } from "./session_log.ts";
import { disposeBut } from "./session_transaction.ts";

/** What a session has put off, a piece of it; null where there is nothing. */
export function debtOf(context: HostContext, live: Live): (() => Promise<void>) | null {
  if (live.refresher) return () => advance(context, live);
  if (context.journal.owesSnapshot(live)) return () => context.journal.compact(live);
  return null;
}

/** One slice of a refresh beside the steps; the last installs it. A failure is told, and the old preconditioner stays. */
async function advance(context: HostContext, live: Live): Promise<void> {
  const { device, journal, emit } = context;
  const { refresher } = live;
  if (!refresher) return; // a refresh that was asked for has come before it
  let state = live.state;
  try {
    const made = await device(async () => {
      if (await refresher.advance()) return null;
      return refresher.installed(live.state, live.usesKeys);
    });
    if (made === null) return;
    state = made;
    if (live.identity.durability === "step") {
      const entry: Entry = { call: "install", request: {}, mayDefer: true, of: refresher.of };
      const parts = entryParts(entry, live.identity);
      await journal.append(live, journal.begin(live.id, parts, state.revision), state);
    } else await journal.snapshot(live, state);
    install(live, state);
    context.residents.add(live);
    const answer = { fields: {}, isRefreshed: true, isDue: false };
    for (const event of eventsOf(live, null, answer)) emit(live.id, event);
  } catch (error) {
    disposeBut(state, live.state);
    log.error("a refresh failed", { session: live.id, ...faultOf(error) });
    emit(live.id, { event: "refresh", failed: error instanceof Error ? error.message : "" });
  }
  refresher.dispose();
  live.refresher = null;
}
