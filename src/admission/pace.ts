/**
 * How long requests take, learned from those that were answered: what tells a newcomer how long it would wait.
 *
 * Requests are told apart by kind, which is known before a byte of a body is read: the route and the size to the next power of
 * two. What one has cost is the time since it began or since the one before it was done, whichever is later: of requests that
 * share the device, or a batch, the sum is then the time that passed.
 *
 * @module
 */

/** Weight of the newest: half of what is known is of the last seven. */
const WEIGHT = 0.1;

export class Pace {
  readonly #means = new Map<string, number>();
  #lastDone = -Infinity;

  /** Milliseconds that a request of a kind takes of the device; undefined of one never seen. */
  expected(kind: string): number | undefined {
    return this.#means.get(kind);
  }

  /**
   * Learns from a request that began at a time and has left the device now.
   * @param isDone whether it was answered; one that was given up has cost at least what it did, and teaches only if that was more.
   */
  learn(kind: string, begun: number, isDone: boolean, now = performance.now()): void {
    const cost = now - Math.max(begun, this.#lastDone);
    this.#lastDone = now;
    const mean = this.#means.get(kind);
    if (!isDone && mean !== undefined && cost < mean) return;
    this.#means.set(kind, mean === undefined ? cost : mean + WEIGHT * (cost - mean));
  }
}

/** The kind of a request. @param bytes of its body. */
export function kindOf(route: string, bytes: number): string {
  return `${route} ${Math.ceil(Math.log2(bytes + 1))}`;
}
