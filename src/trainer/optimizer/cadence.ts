/**
 * When statistics are taken and refreshes fall due.
 *
 * A network moves fastest in its first steps, and so does its Fisher: a warm-up takes statistics more often there, and with
 * them refreshes, which are so many batches of statistics apart.
 *
 * @module
 */

/** Statistics in the first steps. */
export interface Warmup {
  /** It ends before this step, which is one of statistics. */
  readonly steps: number;
  /** Steps from one batch of statistics to the next. */
  readonly statisticsEvery: number;
}

export class Cadence {
  /** Batches of statistics that the warm-up takes. */
  readonly #early: number;
  readonly #batchesPerRefresh: number;

  /** @param refreshEvery a multiple of `statisticsEvery`. */
  constructor(
    private readonly statisticsEvery: number,
    refreshEvery: number,
    private readonly warmup: Warmup = { steps: 0, statisticsEvery: 1 },
  ) {
    this.#early = Math.ceil(warmup.steps / warmup.statisticsEvery);
    this.#batchesPerRefresh = refreshEvery / statisticsEvery;
  }

  /** Whether statistics are due. */
  isDue(step: number): boolean {
    return this.#stepOf(this.#batchAt(step)) === step;
  }

  /** The step of the statistics that came so many batches before the last ones. */
  statisticsBefore(step: number, batches: number): number {
    return this.#stepOf(Math.max(0, this.#batchAt(step) - batches));
  }

  /** The first step after this one at which a refresh falls due. */
  nextRefresh(step: number): number {
    const refreshes = Math.floor(this.#batchAt(step) / this.#batchesPerRefresh);
    return this.#stepOf((refreshes + 1) * this.#batchesPerRefresh);
  }

  /** The last batch of statistics that fell due by a step, from 0. */
  #batchAt(step: number): number {
    const { warmup, statisticsEvery } = this;
    if (step < warmup.steps) return Math.floor(step / warmup.statisticsEvery);
    return this.#early + Math.floor((step - warmup.steps) / statisticsEvery);
  }

  #stepOf(batch: number): number {
    const { warmup, statisticsEvery } = this;
    if (batch < this.#early) return batch * warmup.statisticsEvery;
    return warmup.steps + (batch - this.#early) * statisticsEvery;
  }
}
