/**
 * Work that takes its turn: one piece at a time, in the order they came.
 *
 * The device is one, and tensor scopes are its own; a session is one, and its changes follow one another. What only waits (for
 * the store, for another's turn) holds neither.
 *
 * @module
 */
import pLimit, { type LimitFunction } from "p-limit";

/** Runs a piece of work when those before it are done. @returns what it returns; a failure is its alone. */
export type Turn = <T>(work: () => Promise<T>) => Promise<T>;

/** A queue of its own. */
export function oneAtATime(): Turn {
  const limit = pLimit(1);
  return (work) => limit(work);
}

/** A piece of work in its turn, and how long it waited for that. */
export async function waiting<T>(
  turn: Turn,
  work: () => Promise<T>,
): Promise<{ result: T; waitMs: number }> {
  const came = performance.now();
  return await turn(async () => {
    const waitMs = performance.now() - came;
    return { result: await work(), waitMs };
  });
}

/** A queue for each name; queues of different names do not wait for each other. */
export class Queues {
  readonly #queues = new Map<string, LimitFunction>();

  async take<T>(name: string, work: () => Promise<T>): Promise<T> {
    let queue = this.#queues.get(name);
    if (!queue) this.#queues.set(name, queue = pLimit(1));
    try {
      return await queue(work);
    } finally {
      if (queue.activeCount + queue.pendingCount === 0) this.#queues.delete(name);
    }
  }

  /** Whether anything is at work or waiting under this name. */
  isBusy(name: string): boolean {
    return this.#queues.has(name);
  }

  /** Resolves when nothing is left to do. */
  async idle(): Promise<void> {
    while (this.#queues.size > 0) {
      await Promise.all([...this.#queues.keys()].map((name) => this.take(name, async () => {})));
    }
  }
}
