/**
 * Turns at the device: pieces of work follow one another in the order they came, and those that may share a turn do.
 *
 * What is in a turn together is settled in one sitting (linalg/sittings.ts), so equal sizes of different requests and sessions
 * are one batch on the device. Nothing is held back for company while the device rests. While turns follow one another, the
 * next waits at most {@linkcode GATHER_MS} for as many as the last had: clients that were just answered come back at once.
 *
 * A processor solves matrices one by one, and gains nothing from a batch: a turn of work that does nothing else is open, the next
 * comes in when one is done. If all had to wait for the last, cores would rest at the end of each turn.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Turn } from "./turns.ts";

/** The longest that work waits for company, and only right after a turn that had some. */
export const GATHER_MS = 2;

/** How long newcomers come into an open turn: tensors that nobody disposed stay until its end. */
export const OPEN_MS = 1000;

/** How a piece of work takes its turn, and with whom. */
type Manner = "alone" | "together" | "beside";

interface Waiting {
  readonly manner: Manner;
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

  /** Pieces that are in an open turn at a time: what keeps all cores at work, and the next at hand. */
  lanes = 1;

  readonly #waiting: Waiting[] = [];
  #isTaken = false;
  #lastWorks = 1;
  #lastEnd = -Infinity;
  #company = Promise.withResolvers<void>();
  /** Lets newcomers into the turn that is open. */
  #letIn: (() => void) | undefined;

  /** @param onTurn told after each turn. */
  constructor(private readonly onTurn: (facts: TurnFacts) => void = () => {}) {}

  /** A turn of one's own: for work that makes or reads tensors outside of `settle()`. */
  readonly alone: Turn = (work) => this.#take(work, "alone");

  /** A turn that others may share: for work that is a pure piece of `settle()`, its results kept or read by it. */
  readonly together: Turn = (work) => this.#take(work, "together");

  /** A turn that others come into and leave: for work that is `settle()` with its option `isBeside`. */
  readonly beside: Turn = (work) => this.#take(work, "beside");

  #take<T>(work: () => Promise<T>, manner: Manner): Promise<T> {
    return new Promise((resolve, reject) => {
      const begin = async () => await work(); // rejects also where it throws at once
      this.#waiting.push({ manner, run: () => begin().then(resolve, reject) });
      if (!this.#isTaken) this.#begin();
      else if (this.#letIn) this.#letIn();
      else if (this.#sociable() >= this.#lastWorks) this.#company.resolve();
    });
  }

  async #begin(): Promise<void> {
    this.#isTaken = true;
    await eventLoopTurn(); // whoever comes in the same breath
    while (this.#waiting.length > 0) {
      const isOpen = this.#waiting[0].manner === "beside";
      if (!isOpen) await this.#gather();
      const begun = performance.now();
      const works = isOpen ? await this.#open() : await this.#closed();
      this.#lastEnd = performance.now();
      this.#lastWorks = isOpen ? 1 : works;
      this.onTurn({ works, milliseconds: this.#lastEnd - begun });
      await eventLoopTurn(); // messages that came meanwhile
    }
    this.#isTaken = false;
  }

  /** All who share it begin at once. @returns how many. */
  async #closed(): Promise<number> {
    const works = this.#waiting.splice(0, Math.max(1, this.#sociable()));
    await Promise.all(works.map(({ run }) => run()));
    return works.length;
  }

  /** The next comes in when one is done, until another kind of work is first in the queue or it is time. @returns how many came. */
  #open(): Promise<number> {
    return new Promise((resolve) => {
      let works = 0, inside = 0;
      const closesAt = performance.now() + OPEN_MS;
      const letIn = this.#letIn = () => {
        while (
          inside < this.lanes && works < DeviceTurns.mostTogether &&
          performance.now() < closesAt && this.#waiting[0]?.manner === "beside"
        ) {
          works++;
          inside++;
          this.#waiting.shift()!.run().then(() => {
            inside--;
            letIn();
          });
        }
        if (inside > 0) return;
        this.#letIn = undefined;
        resolve(works);
      };
      letIn();
    });
  }

  /** How many of the first in the queue may share a turn. */
  #sociable(): number {
    const end = this.#waiting.findIndex(({ manner }) => manner !== "together");
    return Math.min(end < 0 ? this.#waiting.length : end, DeviceTurns.mostTogether);
  }

  /** Waits for the company of the last turn, for as long as is stated above. */
  async #gather(): Promise<void> {
    const leftMs = this.#lastEnd + GATHER_MS - performance.now();
    const isAlone = this.#waiting[0].manner === "alone";
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
