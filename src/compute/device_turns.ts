/**
 * Turns at the device: pieces of work follow one another in the order they came, and those that may share a turn do.
 *
 * What is in a turn together is settled in one sitting (linalg/sittings.ts), so equal sizes of different requests and sessions
 * are one batch on the device. Nothing is held back for company while the device rests. While turns follow one another, the
 * next waits at most {@linkcode GATHER_MS} for as many as the last had: clients that were just answered come back at once.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Turn } from "./turns.ts";

/** The longest that work waits for company, and only right after a turn that had some. */
export const GATHER_MS = 2;

/** How long a turn of work may take that is done lane by lane: who comes meanwhile waits for its end. */
export const LANES_MS = 16;

interface Waiting {
  readonly isSociable: boolean;
  run(): Promise<unknown>;
}

/** What happened in a turn. */
export interface TurnFacts {
  /** Pieces of work in it. */
  readonly works: number;
  readonly milliseconds: number;
}

export class DeviceTurns {
  /** Pieces of work a turn: more would make the first wait for the last, and gain little. */
  static mostTogether = 128;

  /**
   * Pieces that are done at a time, each for itself, as on the cores of a processor; undefined where a device takes all at once.
   * Long pieces then come in as many as there are lanes, as a turn of one more would have all of them wait for the odd one.
   */
  lanes: number | undefined;

  readonly #waiting: Waiting[] = [];
  #isTaken = false;
  #lastWorks = 1;
  #lastMs = 0;
  #lastEnd = -Infinity;
  #company = Promise.withResolvers<void>();

  /** @param onTurn told after each turn. */
  constructor(private readonly onTurn: (facts: TurnFacts) => void = () => {}) {}

  /** A turn of one's own: for work that makes or reads tensors outside of `settle()`. */
  readonly alone: Turn = (work) => this.#take(work, false);

  /** A turn that others may share: for work that is a pure piece of `settle()`, its results kept or read by it. */
  readonly together: Turn = (work) => this.#take(work, true);

  #take<T>(work: () => Promise<T>, isSociable: boolean): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ isSociable, run: () => work().then(resolve, reject) });
      if (!this.#isTaken) this.#begin();
      else if (this.#sociable() >= this.#lastWorks) this.#company.resolve();
    });
  }

  async #begin(): Promise<void> {
    this.#isTaken = true;
    await eventLoopTurn(); // whoever comes in the same breath
    while (this.#waiting.length > 0) {
      await this.#gather();
      const works = this.#waiting.splice(0, Math.max(1, Math.min(this.#sociable(), this.#most())));
      const begun = performance.now();
      await Promise.all(works.map(({ run }) => run()));
      this.#lastEnd = performance.now();
      this.#lastWorks = works.length;
      this.#lastMs = this.#lastEnd - begun;
      this.onTurn({ works: works.length, milliseconds: this.#lastMs });
      await eventLoopTurn(); // messages that came meanwhile
    }
    this.#isTaken = false;
  }

  /** How many of the first in the queue may share a turn. */
  #sociable(): number {
    const end = this.#waiting.findIndex(({ isSociable }) => !isSociable);
    return Math.min(end < 0 ? this.#waiting.length : end, DeviceTurns.mostTogether);
  }

  /** Pieces a turn, by how long those of the last took: whole rounds of all lanes. */
  #most(): number {
    if (this.lanes === undefined) return Infinity;
    const roundMs = this.#lastMs / Math.ceil(this.#lastWorks / this.lanes);
    return this.lanes * Math.max(1, Math.floor(LANES_MS / roundMs));
  }

  /** Waits for the company of the last turn, for as long as is stated above. */
  async #gather(): Promise<void> {
    const leftMs = this.#lastEnd + GATHER_MS - performance.now();
    const isAlone = !this.#waiting[0].isSociable;
    if (isAlone || leftMs <= 0 || this.#sociable() >= this.#lastWorks) return;
    this.#company = Promise.withResolvers();
    const timer = setTimeout(this.#company.resolve, leftMs);
    await this.#company.promise;
    clearTimeout(timer);
  }
}

function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
