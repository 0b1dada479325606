/**
 * The threads that solve an engine's problems on the host, one matrix at a time.
 *
 * Small matrices are solved side by side, with one BLAS thread each, by helpers, one a core: whatever is asked, by whomever, goes
 * to the first that rests, and this thread stays free for who asks next. Where all rest and it is brief, this thread takes the
 * place of one of them. A large matrix is solved alone, with all threads of the library, which also serves where there is no helper. A
 * nonblocking call takes its way to Deno's pool and back for each LAPACK routine; a helper takes its way once for a share of
 * the work. 16 eigendecompositions of side 64 took 2.8 ms on this thread and the pool's.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { type BlasOfHelper, runsBeside } from "@/engine/host.ts";
import { unpackError } from "@/errors.ts";
import { log } from "@/log.ts";
import { Helper, type Solver } from "./helper.ts";
import { HANDING_MS, shareOf, sharesOf } from "./shares.ts";
import {
  estimatedMs,
  type Operation,
  type Solutions,
  solve,
  type Task,
  type Workplace,
} from "./task.ts";

/** More threads of JavaScript than these cost more memory than they save time. */
const MOST_HELPERS = 8;

/** What this thread does by itself, while nobody else is at work: who comes meanwhile waits for its end. */
const BRIEF_MS = 4;

/** How long this thread works before messages get their turn. */
const TURN_MS = 10;

interface Asked {
  readonly task: Task;
  resolve(solution: Solutions[Operation]): void;
  reject(reason: unknown): void;
}

/** A helper as the crew sees it. */
interface Hand {
  readonly solver: Solver;
  isAtWork: boolean;
}

/** What waits for a helper. */
interface Waiting extends Asked {
  /** It was settled. */
  end(): void;
}

export class Crew {
  #asked: Asked[] = [];
  #helpers: Hand[] = [];
  readonly #waiting: Waiting[] = [];

  /** @param libraries their float64 is for use in work that has the BLAS for itself. */
  constructor(private readonly libraries: Omit<Workplace, "lane">) {}

  /** Starts helpers, one for each core. Without them all is done here. @returns what ends them. */
  async startHelpers(
    count = Math.min(MOST_HELPERS, this.libraries.blas?.cores ?? navigator.hardwareConcurrency),
    start: (blas: BlasOfHelper | null) => Promise<Solver> = Helper.start,
  ): Promise<() => void> {
    const { blas } = this.libraries;
    const of: BlasOfHelper | null = blas &&
      { library: blas.library, path: blas.facts.path, cores: blas.cores };
    const starts = await Promise.allSettled(Array.from({ length: count }, () => start(of)));
    const helpers = starts.flatMap((start) => {
      if (start.status === "fulfilled") return [{ solver: start.value, isAtWork: false }];
      log.warn("the linear algebra has fewer threads than cores", { reason: `${start.reason}` });
      return [];
    });
    this.#helpers = helpers;
    return () => {
      this.#helpers = [];
      for (const { solver } of helpers) solver.stop();
    };
  }

  /** Solves a task, with what else is asked before this turn of the event loop ends. @throws CurvdError as the operation does. */
  solve<O extends Operation>(task: Task<O>): Promise<Solutions[O]> {
    return new Promise((resolve, reject) => {
      if (this.#asked.length === 0) queueMicrotask(() => this.#start());
      this.#asked.push({ task, resolve: resolve as Asked["resolve"], reject });
    });
  }

  #start(): void {
    const { blas } = this.libraries;
    const asked = this.#asked;
    this.#asked = [];
    const isSmall = ({ task }: Asked) => blas === null || runsBeside(task.matrix.d);
    const small = asked.filter(isSmall);
    for (const each of asked) if (!isSmall(each)) this.#alone(each);
    if (this.#isDoneHere(small)) { for (const each of small) this.#alone(each); }
    else {
      const work = () => this.#isBrief(small) ? this.#briefly(small) : this.#inTurn(small);
      if (blas) blas.elsewhere(work);
      else work();
    }
  }

  /** Whether to hand it over would cost more than it saves. */
  #isDoneHere(asked: readonly Asked[]): boolean {
    if (this.#helpers.length === 0 || costOf(asked) <= 2 * HANDING_MS) return true;
    return asked.length === 1 && this.#isBrief(asked);
  }

  /** Whether this thread may do a part of it. */
  #isBrief(asked: readonly Asked[]): boolean {
    return this.#helpers.every(({ isAtWork }) => !isAtWork) &&
      asked.every(({ task }) => estimatedMs(task) <= BRIEF_MS) &&
      costOf(asked) <= BRIEF_MS * this.#helpers.length;
  }

  /** By this thread and the pool's. */
  #alone({ task, resolve, reject }: Asked): void {
    const { libraries } = this;
    const solved = libraries.blas
      ? libraries.blas.during(task.matrix.d, (lane) => solve({ ...libraries, lane }, task))
      : solve({ ...libraries, lane: "here" }, task);
    solved.then(resolve, reject);
  }

  /** All at once, by this thread and the helpers but one. */
  async #briefly(asked: readonly Asked[]): Promise<void> {
    const [, ...helpers] = this.#helpers;
    const tasks = asked.map(({ task }) => task);
    const [own, ...others] = sharesOf(tasks, [0, ...helpers.map(() => HANDING_MS)])
      .map((places) => places.map((place) => asked[place]));
    const helped = others.map((share, at) =>
      share.length > 0 ? this.#byHelper(helpers[at], share) : null
    );
    await this.#here(own);
    await Promise.all(helped);
  }

  /** As helpers come to rest, behind what was asked before. */
  async #inTurn(asked: readonly Asked[]): Promise<void> {
    const longestFirst = asked.toSorted((x, y) => estimatedMs(y.task) - estimatedMs(x.task));
    const ended = longestFirst.map((each) =>
      new Promise<void>((end) => this.#waiting.push({ ...each, end }))
    );
    this.#handOut();
    await Promise.all(ended);
  }

  /** Gives those who rest a share of what waits; all of it is done here where no helper is left. */
  async #handOut(): Promise<void> {
    for (const helper of this.#helpers) {
      if (this.#waiting.length > 0 && !helper.isAtWork) this.#give(helper);
    }
    if (this.#helpers.length > 0) return;
    const left = this.#waiting.splice(0);
    await this.#here(left);
    for (const { end } of left) end();
  }

  async #give(helper: Hand): Promise<void> {
    const length = shareOf(this.#waiting.map(({ task }) => task), this.#helpers.length);
    const share = this.#waiting.splice(0, length);
    await this.#byHelper(helper, share);
    for (const { end } of share) end();
  }

  async #here(share: readonly Asked[]): Promise<void> {
    const { libraries } = this;
    let begun = performance.now();
    for (const { task, resolve, reject } of share) {
      await solve({ ...libraries, lane: "here" }, task).then(resolve, reject);
      if (performance.now() - begun < TURN_MS) continue;
      await new Promise((resolve) => setImmediate(resolve));
      begun = performance.now();
    }
  }

  async #byHelper(helper: Hand, share: readonly Asked[]): Promise<void> {
    helper.isAtWork = true;
    let outcomes;
    try {
      outcomes = await helper.solver.solve(share.map(({ task }) => task));
    } catch (error) {
      log.error("a helper of the linear algebra was lost", { reason: `${error}` });
      this.#helpers = this.#helpers.filter((each) => each !== helper);
      await this.#here(share);
      this.#handOut();
      return;
    }
    helper.isAtWork = false;
    this.#handOut();
    outcomes.forEach((outcome, at) => {
      if ("error" in outcome) share[at].reject(unpackError(outcome.error));
      else share[at].resolve(outcome.solution);
    });
  }
}

function costOf(asked: readonly Asked[]): number {
  return asked.reduce((sum, { task }) => sum + estimatedMs(task), 0);
}
