/**
 * Runs that were made, one a line of a file, so that a long bench can be stopped and gone on with.
 *
 * @module
 */
import type { Mark } from "@/training/mod.ts";
import type { BenchProblem, Candidate, Method } from "./contestants.ts";

/** What a run follows from; the time it took aside, the same key gives the same marks. */
export interface RunKey {
  readonly problem: BenchProblem;
  readonly method: Method;
  readonly candidate: Candidate;
  /** What all tries of it have in common. */
  readonly settings: object;
  readonly seed: number;
  readonly steps: number;
  readonly markEvery: number;
  readonly judged: number;
}

interface Entry {
  readonly key: RunKey;
  readonly marks: readonly Mark[];
}

export class Ledger {
  readonly #entries: Entry[];

  /** @param file one JSON a line; a line cut off by a crash is left out. */
  constructor(private readonly file: URL) {
    this.#entries = linesOf(file).flatMap((line) => {
      try {
        return [JSON.parse(line) as Entry];
      } catch {
        return [];
      }
    });
  }

  /** The marks of a run with this key that is whole: that took all its steps, or had the target. */
  find(key: RunKey, target = -Infinity): readonly Mark[] | undefined {
    const text = JSON.stringify(key);
    return this.#entries.findLast((entry) => {
      if (JSON.stringify(entry.key) !== text) return false;
      const last = entry.marks.at(-1)!;
      return last.step === key.steps || !(last.trainingLoss > target);
    })?.marks;
  }

  add(key: RunKey, marks: readonly Mark[]): void {
    this.#entries.push({ key, marks });
    Deno.writeTextFileSync(this.file, `${JSON.stringify({ key, marks })}\n`, { append: true });
  }
}

function linesOf(file: URL): string[] {
  try {
    return Deno.readTextFileSync(file).split("\n").filter((line) => line !== "");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
