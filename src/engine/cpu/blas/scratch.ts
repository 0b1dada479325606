/** Elements kept idle at most: 256 MB. What is above goes to the garbage collector. */
const MOST_IDLE = 2 ** 26;

/**
 * Memory that LAPACK works in, lent again and again.
 *
 * A fresh array of megabytes costs its zeroing and a page fault every 4 kB, which for middle sizes is a tenth of the
 * eigendecomposition. What stands in it when lent is of no meaning to the borrower.
 */
export class Scratch {
  readonly #idle = new Map<number, Float32Array<ArrayBuffer>[]>();
  #count = 0;

  /** Lends an array of exactly this length, with anything in it, until the work is done. */
  async lend<T>(
    length: number,
    work: (array: Float32Array<ArrayBuffer>) => Promise<T>,
  ): Promise<T> {
    const array = this.#take(length);
    try {
      return await work(array);
    } finally {
      this.#give(array);
    }
  }

  #take(length: number): Float32Array<ArrayBuffer> {
    const array = this.#idle.get(length)?.pop();
    if (array === undefined) return new Float32Array(length);
    this.#count -= length;
    return array;
  }

  #give(array: Float32Array<ArrayBuffer>): void {
    if (this.#count + array.length > MOST_IDLE) return;
    this.#count += array.length;
    const idle = this.#idle.get(array.length);
    if (idle) idle.push(array);
    else this.#idle.set(array.length, [array]);
  }
}
