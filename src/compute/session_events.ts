/** What is told of a session to those who watch it. @module */
import type { Live } from "./session_live.ts";
import type { SessionCallName, SessionEvent } from "./session_protocol.ts";
import type { StepAnswer } from "./session_update_answer.ts";

/** The events of a change that was just installed. @param call null for a refresh beside the steps. */
export function tellOf(
  { state }: Live,
  call: SessionCallName | null,
  { isRefreshed, fields: { inner_product, kl_clip_factor } }: StepAnswer,
): SessionEvent[] {
  const { version, revision, age, damping } = state;
  const events: SessionEvent[] = [];
  if (isRefreshed) {
    const layers = Object.fromEntries(
      [...state.layers].map(([name, { diagnostics }]) => [name, diagnostics]),
    );
    events.push({ event: "refresh", version, revision, damping, layers });
  }
  if (call === "steps") {
    const step = { version, revision, age, damping, inner_product, kl_clip_factor };
    events.push({ event: "step", ...step });
  }
  return events;
}
