/** The command line of `deno task bench:training`. @module */
import { parseArgs } from "node:util";
import { SESSION_METHODS, type SessionMethodName } from "@/wire/mod.ts";
import { type BenchProblem, USUAL_METHODS } from "./contestants.ts";

export interface Options {
  readonly problems: readonly BenchProblem[];
  /** Methods with curvature, by problem. */
  readonly methods: Readonly<Record<BenchProblem, readonly SessionMethodName[]>>;
  readonly seeds: readonly number[];
  /** Of the runs that count, and of the tries; by problem. */
  readonly epochs: Readonly<Record<BenchProblem, number>>;
  readonly tuningEpochs: Readonly<Record<BenchProblem, number>>;
  /** Tries a method. */
  readonly tries: number;
  /** Whether these are a smoke run's budgets: its results are kept apart. */
  readonly isQuick: boolean;
  readonly minutes: number;
  readonly wantsHelp: boolean;
}

/** What two cores can do in some three hours; an epoch of CURVES is a third of one of MNIST. */
const EPOCHS = { "mnist-autoencoder": 6, "curves-autoencoder": 30, "mnist-conv": 5 };
const TUNING_EPOCHS = { "mnist-autoencoder": 1, "curves-autoencoder": 4, "mnist-conv": 1 };
const QUICK = { epochs: 0.04, tuningEpochs: 0.02 };

export const HELP = `Trains three nets by SGD, Adam and curvature from a server of this tree.

  deno task bench:training [-- option …]

  --problems a,b      of ${Object.keys(USUAL_METHODS).join(", ")} (all)
  --methods a,b       with curvature (by problem)
  --seeds 1,2,3       of the runs that count
  --epochs N          of these runs (${listed(EPOCHS)})
  --tuning-epochs N   of the tries, seed 0 (${listed(TUNING_EPOCHS)})
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
      epochs: { type: "string" },
      "tuning-epochs": { type: "string" },
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
    epochs: epochsOf("epochs", isQuick ? `${QUICK.epochs}` : values.epochs, EPOCHS),
    tuningEpochs: epochsOf(
      "tuning-epochs",
      isQuick ? `${QUICK.tuningEpochs}` : values["tuning-epochs"],
      TUNING_EPOCHS,
    ),
    tries: isQuick ? 1 : positive("tries", values.tries),
    isQuick,
    minutes: positive("minutes", values.minutes),
    wantsHelp: values.help,
  };
}

/** The same for all problems where it is said, else each one's own. */
function epochsOf(
  name: string,
  text: string | undefined,
  usual: Record<BenchProblem, number>,
): Record<BenchProblem, number> {
  if (text === undefined) return usual;
  const epochs = positive(name, text);
  return { "mnist-autoencoder": epochs, "curves-autoencoder": epochs, "mnist-conv": epochs };
}

function listed(epochs: Record<BenchProblem, number>): string {
  return Object.values(epochs).join(", ");
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
