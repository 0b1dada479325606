/**
 * Every method by name: its paper, its options, the kinds of layer it takes.
 *
 * What stands here is what `GET /v1/methods` and the README's table say, and what requests are checked against: a
 * combination that is not here is refused, never replaced by another.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { ekfac } from "./ekfac.ts";
import { embeddingFoof, embeddingKfac } from "./embedding_block.ts";
import { foof } from "./foof.ts";
import { kfac } from "./kfac.ts";
import { deflation, kfacCorrected, kpsvd, lanczos } from "./kpsvd.ts";
import { kfacTridiagonal } from "./kfac_tridiagonal.ts";
import { kfacTwoLevel } from "./kfac_two_level.ts";
import type { Layer, LayerKind, ScaleAndShiftLayer } from "./layer/mod.ts";
import { mbf } from "./mbf.ts";
import {
  type DampingRule,
  DEFAULT_OPTIONS,
  type LayerMethod,
  type MethodOptions,
  type ModelMethod,
} from "./method.ts";
import type { PairProducts, Samples } from "./samples.ts";
import { scaleAndShiftBlock } from "./scale_and_shift_block.ts";
import { tekfac } from "./tekfac.ts";
import { tkfac } from "./tkfac.ts";

export type MethodName =
  | "kfac"
  | "ekfac"
  | "kpsvd"
  | "deflation"
  | "lanczos"
  | "kfac_corrected"
  | "tkfac"
  | "tekfac"
  | "kfac_tridiagonal"
  | "kfac_two_level"
  | "mbf"
  | "foof";

export interface MethodEntry {
  /** What it approximates F by, in a line. */
  readonly approximation: string;
  /** Where it comes from. */
  readonly paper: string;
  /** Damping rules it takes, its default first; none where λ can only go one way. */
  readonly dampingRules: readonly DampingRule[];
  /** Whether `power` other than −1 is offered. */
  readonly takesPower: boolean;
  /** Its further parameters with their defaults, by wire name. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Kinds of layer. */
  readonly layers: readonly LayerKind[];
  /** Whether layers are coupled: all of them in one call. */
  readonly isCoupled: boolean;
}

const ALL_KINDS: readonly LayerKind[] = ["dense", "conv2d", "embedding", "scale_and_shift"];
const WITHOUT_EMBEDDING: readonly LayerKind[] = ["dense", "conv2d", "scale_and_shift"];
const PAIRS = {
  tolerance: DEFAULT_OPTIONS.tolerance,
  max_iterations: DEFAULT_OPTIONS.maxIterations,
};
const TWO_TERMS = {
  ...PAIRS,
  indefinite: "floor",
  floor: DEFAULT_OPTIONS.floor,
  damped_terms: "first",
};

export const METHODS: Readonly<Record<MethodName, MethodEntry>> = {
  kfac: {
    approximation: "G ⊗ A",
    paper:
      "Martens & Grosse 2015, arXiv:1503.05671; on conv2d Grosse & Martens 2016, arXiv:1602.01407",
    dampingRules: ["factored", "plain", "exact"],
    takesPower: true,
    parameters: { pi: "trace" },
    layers: ALL_KINDS,
    isCoupled: false,
  },
  ekfac: {
    approximation: "(Q_G ⊗ Q_A) diag(S) (Q_G ⊗ Q_A)ᵀ, S measured in K-FAC's basis",
    paper: "George et al. 2018, arXiv:1806.03884",
    dampingRules: [],
    takesPower: true,
    parameters: {},
    layers: WITHOUT_EMBEDDING,
    isCoupled: false,
  },
  kpsvd: {
    approximation: "the nearest Kronecker product, by power iteration on the rearranged F",
    paper: "Koroko et al. 2022, arXiv:2201.10285",
    dampingRules: ["factored", "plain"],
    takesPower: false,
    parameters: { pi: "trace", ...PAIRS },
    layers: WITHOUT_EMBEDDING,
    isCoupled: false,
  },
  deflation: {
    approximation: "the two leading Kronecker products, one after the other",
    paper: "Koroko et al. 2022, arXiv:2201.10285",
    dampingRules: ["factored", "plain"],
    takesPower: false,
    parameters: { pi: "trace", ...TWO_TERMS },
    layers: WITHOUT_EMBEDDING,
    isCoupled: false,
  },
  lanczos: {
    approximation: "the two leading Kronecker products, by Golub–Kahan bidiagonalization",
    paper: "Koroko et al. 2022, arXiv:2201.10285",
    dampingRules: ["factored", "plain"],
    takesPower: false,
    parameters: { pi: "trace", ...TWO_TERMS },
    layers: WITHOUT_EMBEDDING,
    isCoupled: false,
  },
  kfac_corrected: {
    approximation: "G ⊗ A plus the nearest Kronecker product of what K-FAC misses",
    paper: "Koroko et al. 2022, arXiv:2201.10285",
    dampingRules: ["factored", "plain"],
    takesPower: false,
    parameters: { pi: "trace", ...TWO_TERMS },
    layers: WITHOUT_EMBEDDING,
    isCoupled: false,
  },
  tkfac: {
    approximation: "δ Ψ ⊗ Φ, the partial traces of F; preserves tr F",
    paper: "Gao et al. 2020, arXiv:2011.10741",
    dampingRules: [],
    takesPower: true,
    parameters: { tkfac_locations: DEFAULT_OPTIONS.tkfacLocations },
    layers: WITHOUT_EMBEDDING,
    isCoupled: false,
  },
  tekfac: {
    approximation: "EKFAC's spectrum in TKFAC's basis",
    paper: "Gao et al. 2020, arXiv:2011.13609",
    dampingRules: [],
    takesPower: true,
    parameters: { tkfac_locations: DEFAULT_OPTIONS.tkfacLocations },
    layers: WITHOUT_EMBEDDING,
    isCoupled: false,
  },
  kfac_tridiagonal: {
    approximation: "K-FAC with neighbouring layers coupled; its inverse is block-tridiagonal",
    paper: "Martens & Grosse 2015, arXiv:1503.05671, section 4.3",
    dampingRules: ["factored", "plain"],
    takesPower: false,
    parameters: { pi: "trace" },
    layers: ["dense"],
    isCoupled: true,
  },
  kfac_two_level: {
    approximation: "K-FAC with a coarse correction over all layers",
    paper: "Tselepidis et al. 2020, arXiv:2011.00573; Koroko et al. 2023, arXiv:2303.18083",
    dampingRules: ["factored", "plain"],
    takesPower: false,
    parameters: {
      pi: "trace",
      coarse_space: DEFAULT_OPTIONS.coarseSpace,
      rhs: DEFAULT_OPTIONS.rhs,
    },
    layers: ["dense", "conv2d"],
    isCoupled: true,
  },
  mbf: {
    approximation: "one block an output neuron (dense) or a filter (conv2d)",
    paper: "Bahamou, Goldfarb & Ren 2022, arXiv:2202.04124",
    dampingRules: [],
    takesPower: false,
    parameters: { mbf_blocks: DEFAULT_OPTIONS.mbfBlocks },
    layers: WITHOUT_EMBEDDING,
    isCoupled: false,
  },
  foof: {
    approximation: "I ⊗ A: activations alone",
    paper: "Benzing 2022, arXiv:2201.12250",
    dampingRules: [],
    takesPower: false,
    parameters: {},
    layers: ["dense", "conv2d", "embedding"],
    isCoupled: false,
  },
};

/** What sessions offer beside these: methods of gradients alone, whose state no stateless call could have. */
export const GRADIENT_METHODS: Readonly<Record<"shampoo" | "soap", MethodEntry>> = {
  shampoo: {
    approximation: "(L + εI)^(−1/p) and (R + εI)^(−1/p) of the gradients' own second moments",
    paper: "Gupta et al. 2018, arXiv:1802.09568; Anil et al. 2020, arXiv:2002.09018",
    dampingRules: [],
    takesPower: false,
    parameters: { root: 4 },
    layers: ["dense", "conv2d"],
    isCoupled: false,
  },
  soap: {
    approximation: "Adam in Shampoo's eigenbasis",
    paper: "Vyas et al. 2024, arXiv:2409.11321",
    dampingRules: [],
    takesPower: false,
    parameters: { beta1: 0.95, beta2: 0.95, damping: 1e-8 },
    layers: ["dense", "conv2d"],
    isCoupled: false,
  },
};

const LAYER_METHODS: Partial<Record<MethodName, LayerMethod<Samples, unknown>>> = {
  kfac,
  ekfac,
  kpsvd,
  deflation,
  lanczos,
  kfac_corrected: kfacCorrected,
  tkfac,
  tekfac,
  mbf,
  foof,
} as Partial<Record<MethodName, LayerMethod<Samples, unknown>>>;

const MODEL_METHODS: Partial<Record<MethodName, ModelMethod<Samples>>> = {
  kfac_tridiagonal: kfacTridiagonal,
  kfac_two_level: kfacTwoLevel,
};

/** The method of independent layers for one layer. @throws CurvdError `unsupported` where the pair is not offered. */
export function layerMethod(name: MethodName, layer: Layer): LayerMethod<PairProducts, unknown> {
  expectKind(name, layer);
  const method = layer.kind === "embedding"
    ? name === "foof" ? embeddingFoof : embeddingKfac
    : layer.kind === "scale_and_shift"
    ? scaleAndShiftBlock((layer as ScaleAndShiftLayer).description.block)
    : LAYER_METHODS[name]!;
  return method as unknown as LayerMethod<PairProducts, unknown>;
}

/** The method that couples layers, or null where the method's layers are independent. */
export function modelMethod(name: MethodName): ModelMethod<Samples> | null {
  return MODEL_METHODS[name] ?? null;
}

/** Refuses a kind of layer that a method does not take. @throws CurvdError `unsupported` naming the kinds offered. */
export function expectKind(method: MethodName, { kind, name }: Layer): void {
  expectKindOf(method, kind, name);
}

/** {@linkcode expectKind} where there is no layer yet. */
export function expectKindOf(method: MethodName, kind: LayerKind, layer: string): void {
  const { layers } = METHODS[method];
  if (layers.includes(kind)) return;
  throw new CurvdError(
    "unsupported",
    `Layer "${layer}": ${method} is not offered for ${kind} layers, only for ${layers.join(", ")}`,
    { layer, value: kind, limit: layers, suggestion: "send this layer with method kfac" },
  );
}

/** Options as a caller states them: absent ones take the method's default. */
export type StatedOptions = { readonly [O in keyof MethodOptions]?: MethodOptions[O] };

/**
 * Fills in a method's defaults and refuses what it does not offer.
 *
 * @throws CurvdError `unsupported` naming the option and what is offered.
 */
export function settleOptions(name: MethodName, stated: StatedOptions): MethodOptions {
  const { dampingRules, takesPower } = METHODS[name];
  const { dampingRule, power } = stated;
  if (dampingRule !== undefined && !dampingRules.includes(dampingRule)) {
    throw notOffered(name, "damping_rule", dampingRule, dampingRules);
  }
  if (power !== undefined && power !== -1 && !takesPower) {
    throw notOffered(name, "power", power, [-1]);
  }
  const given = Object.fromEntries(
    Object.entries(stated).filter(([, value]) => value !== undefined),
  );
  return {
    ...DEFAULT_OPTIONS,
    dampingRule: dampingRules[0] ?? DEFAULT_OPTIONS.dampingRule,
    ...given,
  };
}

function notOffered(
  name: MethodName,
  option: string,
  value: unknown,
  offered: readonly unknown[],
): CurvdError {
  const said = offered.length > 0
    ? `offered: ${offered.join(", ")}`
    : "it has one way to damp and takes no rule";
  return new CurvdError(
    "unsupported",
    `Method ${name} does not take ${option} ${JSON.stringify(value)}; ${said}`,
    { pointer: `/${option}`, value, limit: offered },
  );
}
