/**
 * Whose turn it is among those who wait: by priority, then by fair share between callers, then by arrival.
 *
 * Shares are start-time fair queueing (Goyal, Vin & Cheng 1996): every caller has a clock that its requests advance by what
 * they are expected to take, and the caller whose clock is furthest behind goes first; one that was idle starts at the present.
 * Priorities age, so that background work waits long, but not for ever. Requests of one lane (a session) keep their order, and
 * follow one another.
 *
 * @module
 */

/** `urgent`: a training step waits for it; `background`: nobody does. */
export type Priority = "urgent" | "normal" | "background";

const RANK: Readonly<Record<Priority, number>> = { urgent: 0, normal: 1, background: 2 };

/** After each such time of waiting a request counts as one priority higher. */
const AGEING_MS = 1000;

/** What a turn advances a clock by at the least. */
const LEAST_MS = 0.01;

export interface Waiter {
  readonly who: string;
  readonly priority: Priority;
  /** Requests of one lane are taken one after another, as they came. */
  readonly lane?: string;
  /** Milliseconds that it is expected to take; undefined where that is not known. */
  readonly expectedMs: number | undefined;
  /** Bytes of its body. */
  readonly bytes: number;
}

interface Waiting<W> {
  readonly waiter: W;
  readonly since: number;
}

export class WaitingLine<W extends Waiter> {
  #waiting: Waiting<W>[] = [];
  readonly #busyLanes = new Set<string>();
  readonly #clocks = new Map<string, number>();
  /** The clock of whoever was taken last. */
  #present = 0;

  get length(): number {
    return this.#waiting.length;
  }

  join(waiter: W, now = performance.now()): void {
    this.#waiting.push({ waiter, since: now });
  }

  /** Leaves without a turn. */
  quit(waiter: W): void {
    this.#waiting = this.#waiting.filter((each) => each.waiter !== waiter);
    this.#forgetIdleClocks();
  }

  /** Who would be next; undefined where nobody can be. */
  first(now = performance.now()): W | undefined {
    const lanes = new Set(this.#busyLanes);
    let best: { waiter: W; rank: number; clock: number } | undefined;
    for (const { waiter, since } of this.#waiting) {
      const { lane, who, priority } = waiter;
      if (lane !== undefined) {
        if (lanes.has(lane)) continue;
        lanes.add(lane); // those behind it in its lane wait for it
      }
      const rank = Math.max(0, RANK[priority] - Math.floor((now - since) / AGEING_MS));
      const clock = this.#clockOf(who);
      if (!best || rank < best.rank || (rank === best.rank && clock < best.clock)) {
        best = { waiter, rank, clock };
      }
    }
    return best?.waiter;
  }

  /** Takes somebody out of the line; their lane is theirs until {@linkcode done}. */
  take(waiter: W): void {
    const clock = this.#clockOf(waiter.who);
    this.#present = clock;
    this.#clocks.set(waiter.who, clock + Math.max(waiter.expectedMs ?? 0, LEAST_MS));
    if (waiter.lane !== undefined) this.#busyLanes.add(waiter.lane);
    this.quit(waiter);
  }

  /** The turn is over. */
  done({ lane }: W): void {
    if (lane !== undefined) this.#busyLanes.delete(lane);
  }

  #clockOf(who: string): number {
    return Math.max(this.#clocks.get(who) ?? 0, this.#present);
  }

  /** A clock in the past says nothing: its owner would start at the present. */
  #forgetIdleClocks(): void {
    if (this.#clocks.size <= this.#waiting.length + 1) return;
    for (const [who, clock] of this.#clocks) {
      if (clock <= this.#present) this.#clocks.delete(who);
    }
  }
}
