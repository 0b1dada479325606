/** What the parts of a session host share. @module */
import type { Engine } from "@/engine/mod.ts";
import type { Journal } from "./session_journal.ts";
import type { SessionEvent } from "./session_protocol.ts";
import type { Residents } from "./session_residents.ts";
import type { Turn } from "./turns.ts";

export interface HostContext {
  readonly engine: Engine;
  /** Whatever makes or reads tensors takes its turn at the device: tensor scopes are the engine's, not the session's. */
  readonly device: Turn;
  /** As `device`, beside others' work: for what is nothing but a {@linkcode transact}. */
  readonly together: Turn;
  readonly journal: Journal;
  readonly residents: Residents;
  /** Told of what happens to sessions. */
  readonly emit: (session: string, event: SessionEvent) => void;
}
