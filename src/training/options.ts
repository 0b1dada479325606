/** The command line of `deno task train`. @module */
import { parseArgs } from "node:util";
import type { Warmup } from "@/trainer/mod.ts";
import { SESSION_METHODS, type SessionMethodName } from "@/wire/mod.ts";
import { type ProblemName, PROBLEMS } from "./problems.ts";
import { type Settings, usualSettings, WARMUP } from "./settings.ts";
import { GRADIENT_METHODS, type GradientMethod } from "./trainers.ts";

export type Method = SessionMethodName | GradientMethod;

export interface Options {
  readonly model: ProblemName;
  readonly method: Method;
  /** A running server's address; absent: one is started. */
  readonly server?: string;
  /** Its key, where it asks for one. */
  readonly key?: string;
  readonly seed: number;
  readonly batchSize: number;
  readonly steps: number;
  readonly seconds: number;
  readonly settings: Settings;
  readonly mode: "auto" | "remote" | "local";
  readonly isAsynchronous: boolean;
  /** Path of the log and the plot, without their endings. */
  readonly out: string;
}

const MODELS = Object.keys(PROBLEMS) as ProblemName[];
const METHODS = [...Object.keys(GRADIENT_METHODS), ...SESSION_METHODS] as Method[];
const MODES = ["auto", "remote", "local"] as const;

const ARGUMENTS = {
  model: { type: "string", default: "mlp" },
  method: { type: "string", default: "kfac" },
  server: { type: "string" },
  key: { type: "string" },
  seed: { type: "string", default: "1" },
  batch: { type: "string", default: "512" },
  steps: { type: "string", default: "500" },
  seconds: { type: "string" },
  rate: { type: "string" },
  momentum: { type: "string" },
  damping: { type: "string" },
  "kl-clip": { type: "string" },
  "statistics-every": { type: "string" },
  "refresh-every": { type: "string" },
  warmup: { type: "string" },
  mode: { type: "string", default: "auto" },
  asynchronous: { type: "boolean", default: false },
  out: { type: "string" },
  help: { type: "boolean", short: "h", default: false },
} as const;

export const HELP = `Trains a net of TensorFlow.js with curvature from a curvd server.

  deno task train [--model NAME] [--method NAME] [option …]

  --model NAME           ${MODELS.join(", ")} (mlp)
  --method NAME          ${wrapped(METHODS)} (kfac)
  --server URL           use this server; without it one is started for the time of the run
  --key KEY              of a server that asks for one
  --seed N               of the first weights, the order of batches and the labels drawn (1)
  --steps N, --seconds S the run ends with whichever comes first (500 steps)
  --batch N              examples a step (512)
  --rate, --momentum, --damping, --kl-clip   numbers; --kl-clip off for none (by model and method)
  --statistics-every N, --refresh-every N    in steps (by model)
  --warmup N             first steps, each of which takes statistics (${WARMUP.steps} for an auto-encoder, else 0)
  --mode NAME            where updates are made: ${MODES.join(", ")} (auto)
  --asynchronous         steps go on while the server works
  --out PATH             of the log and the plot, without .json and .svg , under dist/ (dist/training/…)`;

/**
 * Reads the command line.
 *
 * @returns null where help is asked for.
 * @throws RangeError for what is no option or has no such value.
 */
export function readOptions(args: readonly string[]): Options | null {
  const values = parsed(args.filter((arg) => arg !== "--"));
  if (values.help) return null;
  const model = oneOf("model", values.model, MODELS);
  const method = oneOf("method", values.method, METHODS);
  const seed = whole("seed", values.seed, 0);
  const usual = usualSettings(model, method);
  if (values.server !== undefined && !URL.canParse(values.server)) {
    throw new RangeError(`Cannot use --server ${values.server}: it is no URL`);
  }
  return {
    model,
    method,
    server: values.server,
    key: values.key,
    seed,
    batchSize: whole("batch", values.batch, 1),
    steps: whole("steps", values.steps, 1),
    seconds: values.seconds === undefined ? Infinity : positive("seconds", values.seconds),
    settings: {
      learningRate: given("rate", values.rate, usual.learningRate),
      momentum: values.momentum === undefined ? usual.momentum : fraction(values.momentum),
      damping: given("damping", values.damping, usual.damping),
      klClip: values["kl-clip"] === "off"
        ? null
        : values["kl-clip"] === undefined
        ? usual.klClip
        : positive("kl-clip", values["kl-clip"]),
      statisticsEvery: every("statistics-every", values["statistics-every"], usual.statisticsEvery),
      refreshEvery: every("refresh-every", values["refresh-every"], usual.refreshEvery),
      warmup: values.warmup === undefined ? usual.warmup : warmupOf(values.warmup),
    },
    mode: oneOf("mode", values.mode, MODES),
    isAsynchronous: values.asynchronous,
    out: values.out ?? `dist/training/${model}-${method}-seed${seed}`,
  };
}

function parsed(args: string[]) {
  try {
    return parseArgs({ args, options: ARGUMENTS }).values;
  } catch (error) {
    throw new RangeError((error as Error).message.split(". ")[0]);
  }
}

function oneOf<T extends string>(name: string, value: string, offered: readonly T[]): T {
  const found = offered.find((one) => one === value);
  if (found === undefined) {
    throw new RangeError(`Cannot use --${name} ${value}; there are ${offered.join(", ")}`);
  }
  return found;
}

function whole(name: string, text: string, least: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(value >= least)) {
    throw new RangeError(`Cannot use --${name} ${text}: it must be a whole number ≥ ${least}`);
  }
  return value;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < Infinity)) {
    throw new RangeError(`Cannot use --${name} ${text}: it must be a number > 0`);
  }
  return value;
}

function fraction(text: string): number {
  const value = text === "" ? NaN : Number(text);
  if (!(value >= 0 && value < 1)) {
    throw new RangeError(`Cannot use --momentum ${text}: it must be in [0, 1)`);
  }
  return value;
}

function given(name: string, text: string | undefined, usual: number): number {
  return text === undefined ? usual : positive(name, text);
}

function every(name: string, text: string | undefined, usual: number): number {
  return text === undefined ? usual : whole(name, text, 1);
}

function warmupOf(text: string): Warmup | undefined {
  const steps = whole("warmup", text, 0);
  return steps === 0 ? undefined : { ...WARMUP, steps };
}

/** Names in lines that fit under their heading. */
function wrapped(names: readonly string[]): string {
  const lines = [""];
  for (const name of names) {
    const line = lines.at(-1)!;
    if (line.length + name.length > 72) lines.push(name);
    else lines[lines.length - 1] = line ? `${line}, ${name}` : name;
  }
  return lines.join(`,\n${" ".repeat(25)}`);
}
