/**
 * Which sessions there are, and which of them are in memory: the least recently used leave when the budget is spent.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { bytesOf, type Head, headOf } from "@/sessions/mod.ts";
import { type Live, release } from "./session_live.ts";

export class Residents {
  /** Every session there is; those not in memory by their head alone. */
  readonly #heads = new Map<string, { readonly head: Head; readonly touchedAt: number }>();
  /** In memory, the least recently used first. */
  readonly #live = new Map<string, Live>();

  /** @param budgetBytes all sessions in memory together may take this much of the device. */
  constructor(private readonly budgetBytes: number) {}

  /** Takes note of a session, or of what has become of it. */
  know(id: string, head: Head): void {
    this.#heads.set(id, { head, touchedAt: Date.now() });
  }

  head(id: string): Head | undefined {
    return this.#heads.get(id)?.head;
  }

  /** Every session by its id and head. */
  heads(): [string, Head][] {
    return [...this.#heads].map(([id, { head }]) => [id, head]);
  }

  /** Those in memory, the least recently used first. */
  all(): Live[] {
    return [...this.#live.values()];
  }

  get(id: string): Live | undefined {
    return this.#live.get(id);
  }

  /** Takes a session into memory, in the place of one of the same id. */
  add(live: Live): void {
    this.#live.set(live.id, live);
    this.know(live.id, headOf(live.identity, live.state));
  }

  /** Makes a session the most recently used. */
  touch(live: Live): void {
    this.#live.delete(live.id);
    this.#live.set(live.id, live);
    live.touchedAt = Date.now();
  }

  /** A session leaves memory. */
  drop(live: Live): void {
    const { id, touchedAt } = live;
    const known = this.#heads.get(id);
    if (known) this.#heads.set(id, { ...known, touchedAt: Math.max(known.touchedAt, touchedAt) });
    release(live);
    this.#live.delete(id);
  }

  /** A session is no more. */
  forget(id: string): void {
    const live = this.#live.get(id);
    if (live) this.drop(live);
    this.#heads.delete(id);
  }

  /** Ids of sessions that nobody has touched for as long as they said. @param now by the clock, ms. */
  idle(now: number): string[] {
    return [...this.#heads].filter(([id, { head: { identity }, touchedAt }]) => {
      const { idle_seconds: idle } = identity;
      const touched = Math.max(touchedAt, this.#live.get(id)?.touchedAt ?? 0);
      return idle !== null && now - touched > 1000 * idle;
    }).map(([id]) => id);
  }

  /** Bytes of all sessions in memory. */
  bytes(): number {
    return this.all().reduce((sum, { state }) => sum + bytesOf(state), 0);
  }

  /** Who must leave so that the rest fits, one at a time; never the one at work, nor one that is being refreshed. */
  *leaving(current: Live): Iterable<Live> {
    for (const live of this.all()) {
      if (this.bytes() <= this.budgetBytes) return;
      if (live !== current && live.refresher === null) yield live;
    }
  }

  /** @throws CurvdError `too-large-to-fit` where a session of so many bytes fits at no time. */
  expectToFit(bytes: number): void {
    if (bytes <= this.budgetBytes) return;
    const needed = mebibytes(bytes), budget = mebibytes(this.budgetBytes);
    throw new CurvdError(
      "too-large-to-fit",
      `The session needs ${needed} MiB, all sessions may have ${budget}`,
      { value: bytes, limit: this.budgetBytes, suggestion: "a larger CURVD_MEMORY_MB" },
    );
  }
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
