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

/**
 * Sides up to this run with one thread. Measured on 2 cores, OpenBLAS 0.3.21, ms with 1 and 2 threads: eigh 256 5.5 and 5.6,
 * 512 26 and 23, 768 56 and 44, 1024 140 and 120; below 256 the second thread only costs.
 */
export const LARGEST_SINGLE_SIDE = 512;

/** Multiplications from which a matrix product is worth several threads: 256³. */
export const LEAST_SHARED_PRODUCT = 2 ** 24;

interface Waiting {
  readonly shared: boolean;
  readonly start: () => void;
}

/** Lets single-threaded calls run together and many-threaded ones alone, in the order they came. */
export class ThreadGate {
  readonly #waiting: Waiting[] = [];
  #running = 0;
  #alone = false;
  #threads = 0;

  /**
   * @param cores calls that may run together, and threads of one that runs alone.
   * @param setThreads tells the library.
   */
  constructor(readonly cores: number, private readonly setThreads: (count: number) => void) {}

  /** Runs a call as soon as it may: alone with all threads for a large matrix, beside others with one for a small. */
  async run<T>(side: number, call: () => Promise<T>): Promise<T> {
    const shared = side <= LARGEST_SINGLE_SIDE;
    if (!this.#mayStart(shared)) {
      await new Promise<void>((start) => this.#waiting.push({ shared, start }));
    } else this.#begin(shared);
    try {
      return await call();
    } finally {
      this.#end();
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

  #mayStart(shared: boolean): boolean {
    if (this.#waiting.length > 0) return false; // none overtakes
    return this.#fits(shared);
  }

  #fits(shared: boolean): boolean {
    return this.#running === 0 || (shared && !this.#alone && this.#running < this.cores);
  }

  #begin(shared: boolean): void {
    if (this.#running === 0) this.#set(shared ? 1 : this.cores);
    this.#running++;
    this.#alone = !shared;
  }

  #end(): void {
    this.#running--;
    while (this.#waiting.length > 0 && this.#fits(this.#waiting[0].shared)) {
      const { shared, start } = this.#waiting.shift()!;
      this.#begin(shared);
      start();
    }
  }

  #set(count: number): void {
    if (count === this.#threads) return;
    this.setThreads(count);
    this.#threads = count;
  }
}
