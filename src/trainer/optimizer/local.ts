/**
 * Updates by the client: statistics go to the server, a preconditioner comes back once a version.
 *
 * A refresh falls due at step 0 and every `refreshEvery` steps after; with `maxDelay` D its preconditioner is to be
 * in use at the D-th step after that, and is late from then on. D = 0 is synchronous training.
 *
 *   step t:  batch → statistics (→ refresh → GET preconditioner)     one job after another
 *            U = P V with the newest P that is here
 *
 * EKFAC's S is that of the version: what a session measures of it between refreshes, only updates made by the
 * server have.
 *
 * @module
 */
import { keep } from "@tensorflow/tfjs";
import { disposeStatistics, type LayerBlock, type Statistics } from "../capture/mod.ts";
import type { CurvdSession } from "../client/mod.ts";
import { newKey } from "../client/session.ts";
import { eventLoopTurn } from "../event_loop.ts";
import { LocalPreconditioner } from "../local/preconditioner.ts";
import type { Answer, Ask, Curvature } from "./curvature.ts";
import type { TrainerEvent } from "./events.ts";
import type { Settings } from "./options.ts";
import { readLayers } from "./requests.ts";
import { ServerLostError, type SessionLink } from "./session_link.ts";

/** The preconditioner in use, and the step of its statistics. */
interface Held {
  readonly preconditioner: LocalPreconditioner;
  readonly etag: string;
  readonly step: number;
}

export class LocalCurvature implements Curvature {
  readonly mode = "local";
  #held: Held | null = null;
  /** The first step that found nothing held. */
  #since: number | null = null;
  /** The jobs under way, one behind the other. */
  #jobs: Promise<void> = Promise.resolve();
  #waiting = 0;
  /** What failed in a job, for the next step to throw. */
  #failure: Error | null = null;
  #generation = 0;
  #isDisposed = false;

  constructor(
    private readonly link: SessionLink,
    private readonly blocks: readonly LayerBlock[],
    private readonly settings: Settings,
    private readonly tell: (event: TrainerEvent) => void,
  ) {}

  get version(): number {
    return this.#held?.preconditioner.version ?? 0;
  }

  get needsStatistics(): boolean {
    const isEmpty = this.#held === null || this.link.generation !== this.#generation;
    return isEmpty && this.#waiting === 0;
  }

  ageAt(step: number): number {
    return this.#held ? step - this.#held.step : 0;
  }

  async precondition(ask: Ask): Promise<Answer | null> {
    const { asynchronous, onLate } = this.settings;
    this.observe(ask);
    if (!asynchronous) await this.#jobs;
    else if (this.#waiting > 0) await eventLoopTurn(); // or no answer would ever arrive
    while (onLate === "wait" && this.#isLate(ask.step) && this.#waiting > 0) await this.#jobs;
    return this.now(ask);
  }

  /** Sends a step's statistics on their way; nothing is waited for. */
  observe({ step, statistics }: Ask): void {
    const { onLate, onLost, asynchronous } = this.settings;
    if (this.#held === null) this.#since ??= step;
    if (!statistics) return;
    // who does not wait for the server may be faster than it is: then batches are left out
    const isLeftOut = asynchronous && onLate !== "wait" && this.#waiting > 0;
    if (isLeftOut || (this.link.isLost && onLost === "gradient")) {
      return disposeStatistics(statistics);
    }
    for (const { inputs, outputGradients } of statistics.layers.values()) {
      keep(inputs); // model.fit steps inside a tidy
      keep(outputGradients);
    }
    this.#enqueue(() => this.#job(step, statistics));
  }

  /** What can be said at once, with the preconditioner that is here. @throws what failed in a job before. */
  now({ step, gradients, learningRate }: Ask): Answer | null {
    const { klClip, onLate } = this.settings;
    this.#throwFailure();
    const delay = step - (this.#dueBy(step) ?? step);
    const isLate = this.#isLate(step);
    if (isLate) this.tell({ type: "late", step, delay, then: onLate });
    if (!this.#held || (isLate && onLate !== "stale")) return null;
    const clip = klClip === null ? null : { kappa: klClip, learningRate };
    const { updates, klFactor } = this.#held.preconditioner.apply(gradients, clip);
    return { updates, klFactor, version: this.version, age: this.ageAt(step), delay };
  }

  reset(statisticsStep: number): void {
    this.#drop();
    this.#enqueue(() => this.#fetch(statisticsStep));
  }

  async settle(): Promise<void> {
    await this.#jobs;
    this.#throwFailure();
  }

  dispose(): void {
    this.#isDisposed = true;
    this.#drop();
  }

  /** The step at which the oldest refresh fell due that no preconditioner came of yet; null where none did. */
  #dueBy(step: number): number | null {
    if (!this.#held) return this.#since;
    const next = this.settings.cadence.nextRefresh(this.#held.step);
    return next <= step ? next : null;
  }

  /** Whether what is held may be used no more. The first preconditioner is late at once: nothing stands in for it. */
  #isLate(step: number): boolean {
    const due = this.#dueBy(step);
    return due !== null && (this.#held === null || step - due >= this.settings.maxDelay);
  }

  #enqueue(job: () => Promise<void>): void {
    this.#waiting++;
    this.#jobs = this.#jobs.then(job).catch((error) => {
      if (!(error instanceof ServerLostError) && !this.#isDisposed) this.#failure ??= error;
    }).finally(() => this.#waiting--);
  }

  async #job(step: number, statistics: Statistics): Promise<void> {
    if (this.#isDisposed) return disposeStatistics(statistics);
    const { layers, words } = await readLayers(this.blocks, statistics, new Map());
    const [key, refreshKey] = [newKey(), newKey()];
    const isDue = this.#dueBy(step) !== null;
    const version = await this.#run(async (session) => {
      const taken = await session.statistics({ layers, ...words }, { key });
      if (!isDue || taken.version !== this.#versionHere()) return taken.version;
      return (await session.refresh({ key: refreshKey })).version;
    });
    if (version !== this.#versionHere()) await this.#fetch(step);
  }

  async #fetch(step: number): Promise<void> {
    const known = this.link.generation === this.#generation ? this.#held?.etag : null;
    const { etag, document } = await this.#run((session) => session.preconditioner({ known }));
    if (this.#isDisposed) return;
    if (document) {
      const preconditioner = new LocalPreconditioner(document, this.blocks);
      this.#drop();
      this.#held = { preconditioner, etag, step };
      this.tell({ type: "refresh", version: preconditioner.version, step });
    }
    this.#generation = this.link.generation;
    this.#since = null;
  }

  #run<T>(call: (session: CurvdSession) => Promise<T>): Promise<T> {
    return this.link.run(call, this.settings.onLost);
  }

  /** The version held, in this opening of the session; 0 for none. */
  #versionHere(): number {
    return this.link.generation === this.#generation ? this.version : 0;
  }

  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = null;
    if (failure) throw failure;
  }

  #drop(): void {
    this.#held?.preconditioner.dispose();
    this.#held = null;
  }
}
