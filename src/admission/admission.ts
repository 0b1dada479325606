/**
 * Who may come in: a bounded number of requests, and of bytes, each with its turn at the device.
 *
 * A request takes its place before its body is read: what it declares is what is reserved. Where there is none it is refused at
 * once, with the time after which it may be worth asking again; so too where it could not be answered within its own deadline.
 * Inside, turns go by priority and fair share (waiting_line.ts); as many are in work at a time as may share a batch, and a
 * large one alone: what the Worker has been handed can no longer be overtaken.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { Margin } from "./margin.ts";
import { kindOf, Pace } from "./pace.ts";
import { Place, type Usher } from "./place.ts";
import { type Priority, WaitingLine } from "./waiting_line.ts";

/**
 * In work at a time: so many requests, of so many bytes together, that are expected to take so long together. Many small
 * requests thus share a batch, and nobody waits long for what cannot be overtaken any more. Each core may have one however
 * long it takes, and one however large is always in work.
 */
const MOST_IN_WORK = 64;
const MOST_BYTES_IN_WORK = 4 * 2 ** 20;
const MOST_MS_IN_WORK = 64;

/** A caller with a key may hold so many times the places that are left: another always finds some. */
const SHARE_OF_FREE = 3;

export interface AdmissionOptions {
  /** Requests that are in the server at a time: being received, waiting, in work, being answered. */
  readonly requests: number;
  /** Memory that they may take together. */
  readonly bytes: number;
  /** Pieces of work that the machine does side by side. @default its cores */
  readonly cores?: number;
}

/** What a request says of itself before its body is read. */
export interface Claim {
  /** The caller: an API key's id, or empty. */
  readonly who: string;
  /** The pattern of its path. */
  readonly route: string;
  /** Bytes of the body: as declared, or the most there may be. */
  readonly bytes: number;
  /** Memory to hold for it: the body, and what is made of it. */
  readonly reservedBytes: number;
  readonly priority: Priority;
  readonly lane?: string;
  /** The answer is of no use later than this, from now. */
  readonly deadlineMs?: number;
  /** Aborted when the client leaves. */
  readonly client?: AbortSignal;
}

export interface AdmissionFacts {
  /** Requests that are in, those that wait for their turn, and those in work. */
  readonly inside: number;
  readonly waiting: number;
  readonly inWork: number;
  readonly reservedBytes: number;
}

export class Admission {
  readonly #pace = new Pace();
  readonly #margin = new Margin();
  readonly #line = new WaitingLine<Place>();
  /** How those who wait are told that they may begin. */
  readonly #begin = new Map<Place, () => void>();
  readonly #inside = new Map<string, number>();
  readonly #usher: Usher;
  /** Not yet done with the device. */
  readonly #cores: number;
  readonly #ahead = new Set<Place>();
  readonly #inWork = new Set<Place>();
  #places = 0;
  #reservedBytes = 0;

  constructor(private readonly options: AdmissionOptions) {
    this.#cores = options.cores ?? navigator.hardwareConcurrency;
    this.#usher = {
      expectedMs: (kind) => this.#pace.expected(kind),
      awaitTurn: (place) => this.#awaitTurn(place),
      endTurn: (place) => this.#endTurn(place),
      leave: (place) => this.#leave(place),
    };
  }

  /**
   * Takes a request in.
   *
   * @returns its place, to be left when it is answered.
   * @throws CurvdError `queue-full` with `retryAfter` in seconds.
   */
  enter(claim: Claim): Place {
    const { who, route, bytes, reservedBytes, priority, lane, deadlineMs, client } = claim;
    const kind = kindOf(route, bytes);
    this.#expectRoom(who, reservedBytes);
    if (deadlineMs !== undefined && this.#ahead.size > 0) {
      const answeredMs = expectedMs(this.#ahead) + (this.#pace.expected(kind) ?? 0);
      if (!this.#margin.isEnough(answeredMs, deadlineMs)) {
        throw this.#full("It could not be answered within its deadline", deadlineMs);
      }
    }
    const facts = { who, priority, lane, bytes, kind, reservedBytes };
    const place = new Place(facts, this.#usher, client, deadlineMs);
    this.#places++;
    this.#inside.set(who, (this.#inside.get(who) ?? 0) + 1);
    this.#reservedBytes += reservedBytes;
    this.#ahead.add(place);
    return place;
  }

  facts(): AdmissionFacts {
    return {
      inside: this.#places,
      waiting: this.#line.length,
      inWork: this.#inWork.size,
      reservedBytes: this.#reservedBytes,
    };
  }

  #expectRoom(who: string, bytes: number): void {
    const free = this.options.requests - this.#places;
    if (free <= 0) throw this.#full("The queue is full", this.options.requests);
    // dynamic thresholds (Choudhury & Hahne 1998); on a server without keys all are one caller
    if (who !== "" && (this.#inside.get(who) ?? 0) >= SHARE_OF_FREE * free) {
      throw this.#full("The key has its share of the queue", SHARE_OF_FREE * free);
    }
    // what is larger than all there is can only be served alone
    if (this.#places > 0 && this.#reservedBytes + bytes > this.options.bytes) {
      throw this.#full("The queue has no memory left for so large a request", this.options.bytes);
    }
  }

  #full(why: string, limit: number): CurvdError {
    const retryAfter = Math.max(1, Math.ceil(expectedMs(this.#ahead) / 1000));
    return new CurvdError("queue-full", `${why}: try again later`, { limit, retryAfter });
  }

  #awaitTurn(place: Place): Promise<void> {
    return new Promise((resolve, reject) => {
      const quit = () => {
        this.#line.quit(place);
        this.#begin.delete(place);
        this.#ahead.delete(place);
        reject(place.signal.reason);
        this.#next();
      };
      place.signal.addEventListener("abort", quit, { once: true });
      const begin = () => {
        place.signal.removeEventListener("abort", quit);
        resolve();
      };
      this.#begin.set(place, begin);
      this.#line.join(place);
      this.#next();
    });
  }

  /** Lets in work whoever may be. */
  #next(): void {
    for (let place = this.#line.first(); place; place = this.#line.first()) {
      if (this.#isTooLate(place)) continue;
      if (!this.#isRoomFor(place)) return;
      this.#line.take(place);
      this.#inWork.add(place);
      place.begunAt = performance.now();
      this.#begin.get(place)!();
      this.#begin.delete(place);
    }
  }

  /**
   * Gives up a place whose work could not be done within its deadline any more. What is in work is done first, or side by
   * side: together they take as long. Where nothing is, it is tried: what was learned may be wrong.
   */
  #isTooLate(place: Place): boolean {
    return this.#inWork.size > 0 && place.giveUpIfLate(expectedMs([...this.#inWork, place]));
  }

  #isRoomFor(place: Place): boolean {
    if (this.#inWork.size === 0) return true;
    const all = [...this.#inWork, place];
    if (all.length > MOST_IN_WORK || sum(all, ({ bytes }) => bytes) > MOST_BYTES_IN_WORK) {
      return false;
    }
    return all.length <= this.#cores ||
      sum(all, ({ expectedMs }) => expectedMs ?? MOST_MS_IN_WORK) <= MOST_MS_IN_WORK;
  }

  #endTurn(place: Place): void {
    this.#line.done(place);
    this.#inWork.delete(place);
    this.#ahead.delete(place);
    this.#pace.learn(place.kind, place.begunAt, !place.signal.aborted);
    this.#next();
  }

  #leave(place: Place): void {
    const { promised } = place;
    if (promised) this.#margin.learn(promised.tookMs, promised.deadlineMs);
    this.#ahead.delete(place);
    this.#places--;
    const left = this.#inside.get(place.who)! - 1;
    if (left === 0) this.#inside.delete(place.who);
    else this.#inside.set(place.who, left);
    this.#reservedBytes -= place.reservedBytes;
  }
}

/** What the known ones among requests take together. */
function expectedMs(places: Iterable<Place>): number {
  return sum([...places], ({ expectedMs }) => expectedMs ?? 0);
}

function sum(places: readonly Place[], of: (place: Place) => number): number {
  return places.reduce((total, place) => total + of(place), 0);
}
