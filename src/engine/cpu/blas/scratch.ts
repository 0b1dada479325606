/** Elements kept idle at most: 256 MB. The size that was asked for least lately makes room. */
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
    const idle = this.#idle.get(length);
    if (idle === undefined) return new Float32Array(length);
    this.#idle.delete(length);
    const array = idle.pop()!;
    if (idle.length > 0) this.#idle.set(length, idle);
    this.#count -= length;
    return array;
  }

  #give(array: Float32Array<ArrayBuffer>): void {
    const { length } = array;
    if (length > MOST_IDLE) return;
    const idle = this.#idle.get(length) ?? [];
    this.#idle.delete(length); // a Map has its keys in the order they came
    this.#idle.set(length, [...idle, array]);
    this.#count += length;
    for (const [size, arrays] of this.#idle) {
      if (this.#count <= MOST_IDLE) break;
      this.#idle.delete(size);
      this.#count -= size * arrays.length;
    }
  }
}
