/**
 * Sessions coming into memory when they are asked for, and leaving it when others need the room.
 *
 * They come one at a time, so that there is room for each; a session leaves in its own queue, between its calls. Who waits for
 * another to leave is in memory by then, so that no two wait for each other.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { faultOf, log } from "@/log.ts";
import type { Store } from "@/sessions/mod.ts";
import type { HostContext } from "./session_context.ts";
import type { Live } from "./session_live.ts";
import type { SessionCall } from "./session_protocol.ts";
import { recover } from "./session_recovery.ts";
import { oneAtATime, type Queues } from "./turns.ts";

export class SessionMemory {
  /** How many times a session has left memory for the store. */
  spilled = 0;
  readonly #door = oneAtATime();

  constructor(
    private readonly context: HostContext,
    private readonly store: Store,
    /** Of each session's calls. */
    private readonly queues: Queues,
  ) {}

  /** The session of a call, brought back if it is not in memory. */
  async find({ session: id = "", revision }: SessionCall): Promise<Live> {
    if (!this.context.residents.head(id)) {
      throw new CurvdError("not-found", `There is no session "${id}"`, { value: id });
    }
    const live = this.context.residents.get(id) ?? await this.#door(() => this.#bringBack(id));
    this.context.residents.touch(live);
    if (revision !== undefined && revision !== live.state.revision) {
      throw new CurvdError(
        "precondition-failed",
        `Session "${id}" is at revision ${live.state.revision}, not ${revision}`,
        { value: revision, limit: live.state.revision },
      );
    }
    return live;
  }

  async #bringBack(id: string): Promise<Live> {
    const live = await recover(this.context, this.store, id);
    this.context.residents.add(live);
    await this.#makeRoom(live);
    return live;
  }

  /** A session has grown: others make room for it when their calls are done, and this one's answer need not wait for that. */
  grew(live: Live): void {
    this.#door(() => this.#makeRoom(live)).catch((error) => {
      log.error("a session could not leave memory", faultOf(error));
    });
  }

  /** Lets the least recently used sessions go until the rest fits. */
  async #makeRoom(current: Live): Promise<void> {
    for (const live of this.context.residents.leaving(current)) {
      await this.queues.take(live.id, () => this.#spill(live));
    }
  }

  /** A session leaves memory; what is not in the store goes there first. */
  async #spill(live: Live): Promise<void> {
    if (this.context.residents.get(live.id) !== live) return; // it ended meanwhile
    this.spilled++;
    if (live.durableRevision < live.state.revision) {
      await this.context.journal.snapshot(live, live.state);
    }
    this.context.residents.drop(live);
  }

  /** All sessions leave; no call may be under way. */
  async empty(): Promise<void> {
    await this.#door(() => Promise.resolve()); // whoever is leaving
    for (const live of this.context.residents.all()) await this.#spill(live);
  }
}
