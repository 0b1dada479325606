/** The command line of `deno task bench:training`. @module */
import { parseArgs } from "node:util";
import { SESSION_METHODS, type SessionMethodName } from "@/wire/mod.ts";
import { type BenchProblem, USUAL_METHODS } from "./contestants.ts";

export interface Options {
  readonly problems: readonly BenchProblem[];
  /** Methods with curvature, by problem. */
  readonly methods: Readonly<Record<BenchProblem, readonly SessionMethodName[]>>;
  readonly seeds: readonly number[];
  readonly epochs: number;
  readonly tuningEpochs: number;
  /** Tries a method. */
  readonly tries: number;
  /** Whether these are a smoke run's budgets: its results are kept apart. */
  readonly isQuick: boolean;
  readonly minutes: number;
  readonly wantsHelp: boolean;
}

export const HELP = `Trains three nets by SGD, Adam and curvature from a server of this tree.

  deno task bench:training [-- option …]

  --problems a,b      of ${Object.keys(USUAL_METHODS).join(", ")} (all)
  --methods a,b       with curvature (by problem)
  --seeds 1,2,3       of the runs that count
  --epochs N          of these runs (10; the issue's whole form has 30)
  --tuning-epochs N   of the tries, seed 0 (2)
  --tries N           of each method (5)
  --minutes N         ends between two runs after so long; the same command goes on from there
  --quick             a smoke run of a few steps: shows that all of it works, and says nothing else`;

/** @throws RangeError for what is no option or no such value. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: args.filter((arg) => arg !== "--"),
    options: {
      problems: { type: "string" },
      methods: { type: "string" },
      seeds: { type: "string", default: "1,2,3" },
      epochs: { type: "string", default: "10" },
      "tuning-epochs": { type: "string", default: "2" },
      tries: { type: "string", default: "5" },
      minutes: { type: "string", default: "Infinity" },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const all = Object.keys(USUAL_METHODS) as BenchProblem[];
  const methods = values.methods === undefined
    ? undefined
    : listOf("methods", values.methods, SESSION_METHODS);
  const isQuick = values.quick;
  return {
    problems: values.problems === undefined ? all : listOf("problems", values.problems, all),
    methods: methods === undefined
      ? USUAL_METHODS
      : { "mnist-autoencoder": methods, "curves-autoencoder": methods, "mnist-conv": methods },
    seeds: isQuick ? [1] : values.seeds.split(",").map((seed) => positive("seeds", seed)),
    epochs: isQuick ? 0.04 : positive("epochs", values.epochs),
    tuningEpochs: isQuick ? 0.02 : positive("tuning-epochs", values["tuning-epochs"]),
    tries: isQuick ? 1 : positive("tries", values.tries),
    isQuick,
    minutes: positive("minutes", values.minutes),
    wantsHelp: values.help,
  };
}

function listOf<T extends string>(name: string, text: string, offered: readonly T[]): T[] {
  return text.split(",").map((each) => {
    const found = offered.find((one) => one === each);
    if (found === undefined) {
      throw new RangeError(`Cannot use --${name} ${each}; there are ${offered.join(", ")}`);
    }
    return found;
  });
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new RangeError(`Cannot use --${name} ${text}: it must be a number > 0`);
  return value;
}
