/**
 * What a {@linkcode CurvatureOptimizer} can be told, with its defaults, and what does not go together.
 *
 * @module
 */
import type * as z from "zod";
import type { Scalar, Tensor, Variable } from "@tensorflow/tfjs";
import type { LevenbergMarquardtDamping, SessionMethodName, SessionRequest } from "@/wire/mod.ts";
import type { UncoveredLayer } from "../capture/mod.ts";
import type { FisherLoss } from "../fisher/mod.ts";
import { Cadence, type Warmup } from "./cadence.ts";
import type { TrainerEvent } from "./events.ts";
import { type Schedule, scheduleOf } from "./schedules.ts";

/** A loss of a batch: its mean over the examples. */
export type LossFunction = (targets: Tensor, outputs: Tensor) => Scalar;
/** Where updates are made: by the server each step, or by the client with what it fetched. */
export type Mode = "remote" | "local";
/** A preconditioner that is not there in time: waited for, done without, or the last one taken. */
export type OnLate = "wait" | "stale" | "gradient";
/** A server that is away: waited for, or done without. */
export type OnLost = "wait" | "gradient";

/** Further fields of `POST /v1/sessions`; what the optimizer says itself is not among them. */
export type SessionFields = Omit<
  z.input<typeof SessionRequest>,
  "method" | "layers" | "damping" | "decay" | "refresh" | "kl_clip"
>;

export interface CurvatureOptions {
  /**
   * What is trained for. `sampled` and `exact` need a loss of `fisher/`; a function of targets and
   * outputs will do for `empirical`, and none at all for `minimize`.
   */
  readonly loss?: FisherLoss | LossFunction;
  /** @default "kfac" */
  readonly method?: SessionMethodName;
  /** η, or η of each step. */
  readonly learningRate: number | Schedule;
  /** Rate of variables that no block covers, and of steps along the plain gradient. @default learningRate */
  readonly gradientRate?: number | Schedule;
  /** μ of heavy-ball momentum on the updates, in [0, 1). @default 0 */
  readonly momentum?: number;
  /** Nesterov's form of it. @default false */
  readonly nesterov?: boolean;
  /** β ≥ 0. @default 0 */
  readonly weightDecay?: number;
  /** `l2`: βθ is added to the gradient, before preconditioning; `decoupled`: θ shrinks by ηβθ beside the update. @default "l2" */
  readonly decay?: "l2" | "decoupled";
  /** Which variables decay. @default all that are trained */
  readonly decays?: (variable: Variable) => boolean;
  /** λ, in the units of F, or how to adapt it (needs `stepSize`). SOAP's ε may be left out. */
  readonly damping?: number | z.input<typeof LevenbergMarquardtDamping>;
  /** κ: bound of the squared length of a step in the metric F̂; null for none. @default null */
  readonly klClip?: number | null;
  /** `quadratic_model`: α and μ of each step are the model's; learningRate and momentum are not used. @default null */
  readonly stepSize?: "quadratic_model" | null;
  /** Whose labels the curvature is of: drawn from the model, the data's, or all at once. @default "sampled" */
  readonly fisher?: "sampled" | "empirical" | "exact";
  /** Draws of each label for `sampled`. @default 1 */
  readonly fisherSamples?: number;
  /** Limit of ρ of the running averages. @default 0.95 */
  readonly statisticsDecay?: number;
  /** Steps from one batch of statistics to the next. @default 1 */
  readonly statisticsEvery?: number;
  /** Steps from one refresh to the next: a multiple of `statisticsEvery`. @default 20 statistics */
  readonly refreshEvery?: number;
  /** More frequent statistics in the first steps, and with them refreshes. @default none */
  readonly warmup?: Warmup;
  /** Examples of a batch that go into its statistics; null for all. @default null */
  readonly statisticsExamples?: number | null;
  /** @default "auto" */
  readonly mode?: Mode | "auto";
  /** Whether steps go on while the server works on statistics and refreshes. @default false */
  readonly asynchronous?: boolean;
  /** Steps that a preconditioner may come late, from the one at which it fell due; 0 is synchronous. @default 0, asynchronous refreshEvery */
  readonly maxDelay?: number;
  /** @default "wait" */
  readonly onLate?: OnLate;
  /** @default "wait" */
  readonly onLost?: OnLost;
  /** Passed on to the session: `id`, `pi`, `damping_rule`, `durability`, parameters of the method. */
  readonly session?: SessionFields & { readonly drift?: number };
  /** Blocks that are to have no curvature, by name. */
  readonly exclude?: readonly string[];
  /** Of the labels drawn for `sampled`. @default 0 */
  readonly seed?: number;
  /** Told of steps, refreshes, losses of the server. */
  readonly onEvent?: (event: TrainerEvent) => void;
  /** Told once of each layer without a block. @default a warning on the console */
  readonly onUncovered?: (layer: UncoveredLayer) => void;
}

/** Options with their defaults. */
export interface Settings {
  readonly loss: FisherLoss | LossFunction | null;
  readonly method: SessionMethodName;
  readonly learningRate: Schedule;
  readonly gradientRate: Schedule;
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;
  readonly decay: "l2" | "decoupled";
  readonly decays: (variable: Variable) => boolean;
  readonly damping: CurvatureOptions["damping"];
  /** Steps from one report of Levenberg–Marquardt damping to the next; null without it. */
  readonly reportEvery: number | null;
  readonly klClip: number | null;
  readonly stepSize: "quadratic_model" | null;
  readonly fisher: "sampled" | "empirical" | "exact";
  readonly fisherSamples: number;
  readonly statisticsDecay: number;
  readonly statisticsEvery: number;
  readonly refreshEvery: number;
  readonly cadence: Cadence;
  readonly statisticsExamples: number | null;
  readonly mode: Mode | "auto";
  readonly asynchronous: boolean;
  readonly maxDelay: number;
  readonly onLate: OnLate;
  readonly onLost: OnLost;
  readonly session: SessionFields & { readonly drift?: number };
  readonly exclude: readonly string[];
  readonly seed: number;
  readonly onEvent: (event: TrainerEvent) => void;
}

/** Methods whose updates couple layers, or whose state moves with every gradient. */
const REMOTE_ONLY: ReadonlySet<SessionMethodName> = new Set([
  "kfac_tridiagonal",
  "kfac_two_level",
  "shampoo",
  "soap",
]);
/** Refreshes are so many batches of statistics apart, where nothing is said. */
const USUAL_REFRESH = 20;
const USUAL_REPORT = 5;

/**
 * Fills in the defaults.
 *
 * @throws RangeError naming the options that contradict each other.
 */
export function settle(options: CurvatureOptions): Settings {
  const {
    method = "kfac",
    statisticsEvery = 1,
    refreshEvery = USUAL_REFRESH * statisticsEvery,
    asynchronous = false,
    damping,
    stepSize = null,
    session = {},
  } = options;
  const isRemoteOnly = REMOTE_ONLY.has(method) || stepSize !== null ||
    session.scalings === "batch_gradient";
  const settings: Settings = {
    loss: options.loss ?? null,
    method,
    learningRate: scheduleOf(options.learningRate),
    gradientRate: scheduleOf(options.gradientRate ?? options.learningRate),
    momentum: options.momentum ?? 0,
    nesterov: options.nesterov ?? false,
    weightDecay: options.weightDecay ?? 0,
    decay: options.decay ?? "l2",
    decays: options.decays ?? (() => true),
    damping,
    reportEvery: typeof damping === "object" ? damping.every ?? USUAL_REPORT : null,
    klClip: options.klClip ?? null,
    stepSize,
    fisher: options.fisher ?? "sampled",
    fisherSamples: options.fisherSamples ?? 1,
    statisticsDecay: options.statisticsDecay ?? 0.95,
    statisticsEvery,
    refreshEvery,
    cadence: new Cadence(statisticsEvery, refreshEvery, options.warmup),
    statisticsExamples: options.statisticsExamples ?? null,
    mode: isRemoteOnly && options.mode !== "local" ? "remote" : options.mode ?? "auto",
    asynchronous,
    maxDelay: asynchronous ? options.maxDelay ?? refreshEvery : 0,
    onLate: options.onLate ?? "wait",
    onLost: options.onLost ?? "wait",
    session,
    exclude: options.exclude ?? [],
    seed: options.seed ?? 0,
    onEvent: options.onEvent ?? (() => {}),
  };
  expectTogether(settings, options, isRemoteOnly);
  return settings;
}

function expectTogether(settings: Settings, options: CurvatureOptions, isRemoteOnly: boolean) {
  const { method, mode, loss, fisher, damping, stepSize, refreshEvery, statisticsEvery } = settings;
  const refuse = (why: string) => {
    throw new RangeError(`Cannot make the optimizer: ${why}`);
  };
  const { warmup } = options;
  const isEveryStep = statisticsEvery === 1 && (warmup?.statisticsEvery ?? 1) === 1;
  if (damping === undefined && method !== "soap") refuse("damping is needed");
  if (mode === "local" && isRemoteOnly) {
    const scalings = settings.session.scalings && `scalings ${settings.session.scalings}`;
    refuse(`mode local cannot apply ${stepSize ?? scalings ?? method}: only the server can`);
  }
  if (typeof loss === "function" && fisher !== "empirical" && !isGradientMethod(method)) {
    refuse(
      `fisher ${fisher} needs a loss that labels can be drawn from; a function has fisher empirical`,
    );
  }
  if (typeof damping === "object" && stepSize === null) {
    refuse("damping levenberg_marquardt needs stepSize quadratic_model, which predicts the change");
  }
  if (stepSize !== null && settings.momentum > 0) {
    refuse("stepSize quadratic_model chooses the momentum itself");
  }
  if (stepSize !== null && !isEveryStep) {
    refuse("stepSize quadratic_model needs statistics with every step: statisticsEvery 1");
  }
  if (
    stepSize !== null && settings.weightDecay > 0 && (settings.decay !== "l2" || options.decays)
  ) {
    refuse("stepSize quadratic_model knows weight decay as an l2 penalty on all variables alone");
  }
  if (isGradientMethod(method) && !isEveryStep) {
    refuse(`${method} moves with every gradient: statisticsEvery 1`);
  }
  const counts = {
    statisticsEvery,
    refreshEvery,
    ...(warmup && {
      "warmup.steps": warmup.steps,
      "warmup.statisticsEvery": warmup.statisticsEvery,
    }),
  };
  for (const [name, count] of Object.entries(counts)) {
    if (!Number.isInteger(count) || count < 1) {
      refuse(`${name} must be a whole number ≥ 1: ${count}`);
    }
  }
  if (refreshEvery % statisticsEvery !== 0) {
    refuse(`refreshEvery ${refreshEvery} must be a multiple of statisticsEvery ${statisticsEvery}`);
  }
  if (settings.momentum < 0 || settings.momentum >= 1) {
    refuse(`momentum must be in [0, 1): ${settings.momentum}`);
  }
  if (options.maxDelay && !settings.asynchronous) refuse("maxDelay is of asynchronous training");
}

/** Methods that take no statistics. */
export function isGradientMethod(method: SessionMethodName): boolean {
  return method === "shampoo" || method === "soap";
}
