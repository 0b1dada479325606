/**
 * A snapshot on its way to the store, a piece at a time: the device's turn is held for one piece, memory for two.
 *
 * @module
 */
import type { Engine } from "@/engine/mod.ts";
import { Snapshot, type Store } from "@/sessions/mod.ts";
import type { Live } from "./session_live.ts";
import type { Turn } from "./turns.ts";

export class SnapshotDraft {
  /** Of the store; the snapshot stands for what the store has of the session now. */
  readonly number: number;
  /** What replaying the entries that it stands for would have taken. */
  readonly log: Live["log"];
  readonly #snapshot: Snapshot;
  #written: Promise<void> = Promise.resolve();

  constructor(
    private readonly store: Store,
    { id, identity, log }: Live,
    state: Live["state"],
  ) {
    this.#snapshot = new Snapshot(identity, state);
    this.log = { ...log };
    this.number = store.begin({ session: id, kind: "snapshot", revision: state.revision });
  }

  /** Reads a piece and gives it to the store once that has the one before. @returns whether there is more. */
  async advance(engine: Engine, device: Turn): Promise<boolean> {
    await this.#written;
    const piece = await device(() => this.#snapshot.next(engine));
    if (piece === null) return false;
    this.#written = this.store.write(this.number, piece, true);
    return true;
  }

  /** Lets go of what was not read; what was written stays for a commit. */
  dispose(): void {
    this.#snapshot.dispose();
  }

  /** Lets go of all of it. */
  discard(): void {
    this.dispose();
    this.store.discard(this.number);
  }
}
