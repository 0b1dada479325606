/** What the parts of a session host share. @module */
import type { Engine } from "@/engine/mod.ts";
import type { Journal } from "./session_journal.ts";
import type { SessionEvent } from "./session_protocol.ts";
import type { Residents } from "./session_residents.ts";

export interface HostContext {
  readonly engine: Engine;
  readonly journal: Journal;
  readonly residents: Residents;
  /** Told of what happens to sessions. */
  readonly emit: (session: string, event: SessionEvent) => void;
}
