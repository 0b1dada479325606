/**
 * How many threads the library may use, and when.
 *
 * Many small matrices run side by side with one BLAS thread each; a large one runs alone with all of them. Which of the two
 * depends on the shape alone, never on what else waits: another number of threads splits the sums elsewhere and gives other
 * bits. The number is a property of the whole library, so it changes only while no call is under way. (Several calls with
 * several threads each would also be 20 times slower than one after another, in OpenBLAS 0.3.21.)
 *
 * @module
 */
import { setImmediate } from "node:timers";

/**
 * Sides up to this run with one thread. Measured on 2 cores, OpenBLAS 0.3.21, ms with 1 and 2 threads: eigh 256 5.5 and 5.6,
 * 512 26 and 23, 768 56 and 44, 1024 140 and 120; below 256 the second thread only costs.
 */
export const LARGEST_SINGLE_SIDE = 512;

/**
 * A single matrix up to this side is solved on the calling thread, which it blocks for some 2 ms: every way of a LAPACK routine
 * to the pool's thread and back costs 0.05 to 0.1 ms.
 */
export const LARGEST_SMALL_SIDE = 256;

/** Where a piece of work makes its LAPACK calls: on a thread of the pool, or blocking on the calling one. */
export type Lane = "pool" | "here";

/** Multiplications from which a matrix product is worth several threads: 256³. */
export const LEAST_SHARED_PRODUCT = 2 ** 24;

/** What waits to be let in. */
interface Waiting {
  readonly side: number;
  /** All threads of the library; a single one, in a lane; or a single one in each of some threads of its own. */
  readonly needs: "all" | "lane" | "own";
  readonly start: (lane: Lane) => void;
}

/** Lets single-threaded calls run together and many-threaded ones alone, in the order they came. */
export class ThreadGate {
  readonly #waiting: Waiting[] = [];
  #running = 0;
  /** How many of them have a lane. */
  #lanes = 0;
  #alone = false;
  #threads = 0;

  /**
   * @param cores lanes of calls that run together, and threads of one that runs alone.
   * @param setThreads tells the library.
   */
  constructor(readonly cores: number, private readonly setThreads: (count: number) => void) {}

  /** Runs a call as soon as it may: alone with all threads for a large matrix, beside others with one for a small. */
  run<T>(side: number, call: (lane: Lane) => Promise<T>): Promise<T> {
    return this.#admit({ side, needs: runsBeside(side) ? "lane" : "all" }, call);
  }

  /** Runs calls on sides that {@linkcode runsBeside} others, one thread each, on threads of their own: beside others of one thread. */
  runElsewhere<T>(calls: () => Promise<T>): Promise<T> {
    return this.#admit({ side: 0, needs: "own" }, calls);
  }

  async #admit<T>(
    entry: Omit<Waiting, "start">,
    call: (lane: Lane) => Promise<T>,
  ): Promise<T> {
    const lane = await new Promise<Lane>((start) => {
      this.#waiting.push({ ...entry, start });
      queueMicrotask(() => this.#startNext()); // after all of a list have come
    });
    try {
      return await call(lane);
    } finally {
      // what is back from the pool has its turn before this thread is taken again
      if (lane === "here" && this.#waiting.length > 0) await eventLoopTurn();
      this.#running--;
      if (entry.needs === "lane") this.#lanes--;
      this.#startNext();
    }
  }

  /**
   * Prepares for a blocking product of so many multiplications.
   *
   * While work is under way the number of threads stays as it is: right for products that are part of that work. Others
   * get the number that follows from their shape as long as pieces of work on an engine are done one after another.
   */
  prepare(multiplications: number): void {
    if (this.#running > 0) return;
    this.#set(multiplications < LEAST_SHARED_PRODUCT ? 1 : this.cores);
  }

  /** Starts what may start; none overtakes. */
  #startNext(): void {
    while (this.#waiting.length > 0 && this.#fits(this.#waiting[0])) {
      const { side, needs, start } = this.#waiting.shift()!;
      if (this.#running === 0) this.#set(needs === "all" ? this.cores : 1);
      this.#running++;
      if (needs === "lane") this.#lanes++;
      this.#alone = needs === "all";
      start(this.#laneFor(side));
    }
  }

  #fits({ needs }: Waiting): boolean {
    if (this.#running === 0) return true;
    if (needs === "all" || this.#alone) return false;
    return needs === "own" || this.#lanes < this.cores;
  }

  /** Small work stays here where no other waits, or all other lanes are taken. */
  #laneFor(side: number): Lane {
    if (side > LARGEST_SMALL_SIDE) return "pool";
    return this.#waiting.length === 0 || this.#lanes === this.cores ? "here" : "pool";
  }

  #set(count: number): void {
    if (count === this.#threads) return;
    this.setThreads(count);
    this.#threads = count;
  }
}

/** Whether work on a side runs beside other work, with one thread. */
export function runsBeside(side: number): boolean {
  return side <= LARGEST_SINGLE_SIDE;
}

function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
