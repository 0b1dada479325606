/**
 * A request's place in the server, from its headers to the end of its answer.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import type { Priority, Waiter } from "./waiting_line.ts";

/** Of a deadline: the rest is for sending the answer. */
const SHARE_BEFORE_SENDING = 0.9;

/** What a place asks of those who gave it. */
export interface Usher {
  /** Milliseconds that a request of a kind takes, by what is known now. */
  expectedMs(kind: string): number | undefined;
  /** @returns when the place's turn has come. */
  awaitTurn(place: Place): Promise<void>;
  endTurn(place: Place): void;
  leave(place: Place): void;
}

export interface PlaceFacts extends Omit<Waiter, "expectedMs"> {
  readonly kind: string;
  /** Memory that is held for it. */
  readonly reservedBytes: number;
  readonly priority: Priority;
}

export class Place implements Waiter {
  readonly who: string;
  readonly priority: Priority;
  readonly lane?: string;
  readonly bytes: number;
  readonly kind: string;
  readonly reservedBytes: number;
  /** Milliseconds it has waited for its turn. */
  waitedMs = 0;
  /** When its turn began. */
  begunAt = NaN;

  readonly #usher: Usher;
  readonly #deadlineMs?: number;
  readonly #cameAt = performance.now();
  readonly #gone = new AbortController();
  #isLeft = false;
  readonly #unwatch: () => void;

  /**
   * @param client aborted when the client leaves.
   * @param deadlineMs from now; then the work is given up.
   */
  constructor(
    facts: PlaceFacts,
    usher: Usher,
    client: AbortSignal | undefined,
    deadlineMs?: number,
  ) {
    this.who = facts.who;
    this.priority = facts.priority;
    this.lane = facts.lane;
    this.bytes = facts.bytes;
    this.kind = facts.kind;
    this.reservedBytes = facts.reservedBytes;
    this.#usher = usher;
    const leave = () => this.#gone.abort(new CurvdError("aborted", "The client left"));
    client?.addEventListener("abort", leave, { once: true });
    this.#deadlineMs = deadlineMs;
    const timer = deadlineMs === undefined ? undefined : setTimeout(
      () => this.#giveUp(`The answer was not there within ${deadlineMs} ms`),
      deadlineMs,
    );
    this.#unwatch = () => {
      client?.removeEventListener("abort", leave);
      clearTimeout(timer);
    };
  }

  /** Aborted with a {@linkcode CurvdError} when the client leaves or the deadline passes. */
  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** Undefined while none of its kind was answered yet. */
  get expectedMs(): number | undefined {
    return this.#usher.expectedMs(this.kind);
  }

  /** What it took of its deadline until now; undefined of one that has none, had no turn, or whose client left. */
  get promised(): { tookMs: number; deadlineMs: number } | undefined {
    const deadlineMs = this.#deadlineMs;
    const hasLeft = (this.signal.reason as CurvdError | undefined)?.code === "aborted";
    if (deadlineMs === undefined || hasLeft) return undefined;
    if (Number.isNaN(this.begunAt) && !this.signal.aborted) return undefined;
    return { tookMs: performance.now() - this.#cameAt, deadlineMs };
  }

  /**
   * Gives it up where what it takes ends beyond its deadline: work that nobody waits for any more would make others late.
   * @returns whether it did.
   */
  giveUpIfLate(workMs: number, now = performance.now()): boolean {
    const isLate = this.#deadlineMs !== undefined &&
      now - this.#cameAt + workMs > SHARE_BEFORE_SENDING * this.#deadlineMs;
    if (isLate) this.#giveUp(`The answer would not have been there within ${this.#deadlineMs} ms`);
    return isLate;
  }

  /** Does work when its turn has come. @throws CurvdError `aborted`, `deadline-exceeded`, and what the work throws. */
  async work<T>(work: () => Promise<T>): Promise<T> {
    const came = performance.now();
    this.signal.throwIfAborted();
    await this.#usher.awaitTurn(this);
    this.waitedMs = performance.now() - came;
    try {
      return await work();
    } finally {
      this.#usher.endTurn(this);
    }
  }

  #giveUp(why: string): void {
    this.#gone.abort(new CurvdError("deadline-exceeded", why, { limit: this.#deadlineMs }));
  }

  /** Gives back whatever it still holds. */
  leave(): void {
    if (this.#isLeft) return;
    this.#isLeft = true;
    this.#unwatch();
    this.#usher.leave(this);
  }
}
