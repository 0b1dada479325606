/**
 * Who works at an engine, and with whom: pieces of work that wait at the same time are one sitting.
 *
 * In a sitting all works run side by side, in rounds (rounds.ts): equal sizes go to the device in one batch and everything is
 * read at once. Sittings follow one another. No result depends on who else was there; a work that fails while it has company,
 * in a way the company may have caused (memory), is done again by itself. On a cpu engine work that does nothing but solve
 * has sittings of its own, several at a time: there is nothing that a batch would save.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { dispose, type TensorContainer } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import { CurvdError, packError } from "@/errors.ts";
import type { LinearAlgebra } from "./linear_algebra.ts";
import { abandoned, Rounds } from "./rounds.ts";
import { sittingAt } from "./sitting.ts";
import type { Outcome, Settled, SettleOptions } from "./settle.ts";

/** A piece of work on its way to a judged result. */
interface Piece {
  readonly work: (linalg: LinearAlgebra) => Promise<Outcome<unknown>>;
  readonly verifyFully: boolean;
  readonly keepsNothing: boolean;
  readonly signal?: AbortSignal;
  /** Keys of what missed its bound, and is solved in float64. */
  readonly rescued: Set<string>;
  readonly cameAt: number;
  /** Whether it shares a sitting. */
  isSociable: boolean;
  /** How often it was done so far. */
  runs: number;
  resolve(settled: Settled<unknown>): void;
  reject(reason: unknown): void;
}

/**
 * Runs of a piece of work. What missed its bound is solved in float64 from then on, and what follows from that alone may miss
 * another; a device that goes on failing is broken.
 */
const MOST_RUNS = 16;

/** A piece whose work has returned. */
interface Finished {
  readonly piece: Piece;
  readonly linalg: LinearAlgebra;
  readonly outcome: Outcome<unknown>;
}

export class Sittings {
  #waiting: Piece[] = [];
  #isSitting = false;

  constructor(private readonly engine: Engine) {}

  settle<K>(
    work: (linalg: LinearAlgebra) => Promise<Outcome<K>>,
    { verifyFully = false, keepsNothing = false, isBeside = false, signal }: SettleOptions = {},
  ): Promise<Settled<K>> {
    return new Promise((resolve, reject) => {
      const piece: Piece = {
        work,
        verifyFully,
        keepsNothing,
        signal,
        rescued: new Set(),
        cameAt: performance.now(),
        isSociable: true,
        runs: 0,
        resolve: resolve as Piece["resolve"],
        reject,
      };
      if (isBeside && this.engine.kind === "cpu") {
        this.#sit([piece]);
        return;
      }
      this.#waiting.push(piece);
      if (!this.#isSitting) this.#begin();
    });
  }

  async #begin(): Promise<void> {
    this.#isSitting = true;
    while (this.#waiting.length > 0) {
      // those answered last go on first, and those who ask with them come along
      await eventLoopTurn();
      await this.#sit(this.#next());
    }
    this.#isSitting = false;
  }

  /** Everybody who shares, or the first if it does not. */
  #next(): Piece[] {
    const [first] = this.#waiting;
    const next = first.isSociable ? this.#waiting.filter(({ isSociable }) => isSociable) : [first];
    this.#waiting = this.#waiting.filter((piece) => !next.includes(piece));
    return next;
  }

  async #sit(pieces: readonly Piece[]): Promise<void> {
    const started = performance.now();
    const sitting = sittingAt(this.engine);
    const rounds = new Rounds(this.engine, sitting);
    const isShared = pieces.length > 1;
    const finished: Finished[] = [];
    await Promise.all(pieces.map(async (piece) => {
      try {
        if (piece.signal?.aborted) throw abandoned();
        const linalg = sitting.linearAlgebra(piece);
        const outcome = await piece.work(rounds.of(linalg, piece.signal));
        finished.push({ piece, linalg, outcome });
      } catch (error) {
        this.#fail(piece, error, isShared);
      }
    }));
    const recorded = performance.now();
    const statuses = sitting.statuses();
    const read = finished.flatMap(({ outcome }) => outcome.read);
    try {
      const arrays = await this.engine.take([...read, ...statuses]);
      const failed = sitting.judge(arrays.splice(read.length));
      const ended = performance.now();
      for (const { piece, linalg, outcome } of finished) {
        const own = arrays.splice(0, outcome.read.length);
        const lost = failed.get(linalg);
        if (lost) {
          for (const key of lost) piece.rescued.add(key);
          dispose(outcome.keep as TensorContainer);
          piece.runs++;
          if (piece.runs < MOST_RUNS) this.#waiting.unshift(piece);
          else piece.reject(unsettled(lost));
          continue;
        }
        const timing = {
          waitMs: started - piece.cameAt,
          computeMs: recorded - started,
          readMs: ended - recorded,
        };
        piece.resolve({ arrays: own, keep: outcome.keep, timing });
      }
    } catch (error) {
      for (const { piece, outcome } of finished) {
        dispose(outcome.keep as TensorContainer);
        this.#fail(piece, error, isShared);
      }
    } finally {
      dispose([...read, ...statuses]);
    }
  }

  /** Refuses a piece, or has it done again by itself where that may go better. */
  #fail(piece: Piece, error: unknown, isShared: boolean): void {
    if (!isShared || !isPerhapsOfCompany(error)) return piece.reject(error);
    piece.isSociable = false;
    this.#waiting.push(piece);
  }
}

function unsettled(keys: readonly string[]): CurvdError {
  return new CurvdError(
    "internal",
    `The device missed its bounds in ${MOST_RUNS} runs, in the last one for ${keys.join(", ")}`,
    { problems: keys },
  );
}

function isPerhapsOfCompany(error: unknown): boolean {
  const { code } = packError(error);
  return code === "too-large-to-fit" || code === "internal";
}

function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
