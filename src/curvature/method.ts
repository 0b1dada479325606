/**
 * What a curvature method is: statistics in, a preconditioner out.
 *
 * A method works on the samples of one layer ({@linkcode LayerMethod}) or, where layers are coupled, on the
 * ordered layers of a model ({@linkcode ModelMethod}). Its verbs are `observe` (what a batch says), `refresh` (the
 * costly step: inverses, eigenbases) and, of the preconditioner, `apply`. All are pure: state in, new state out, the
 * caller disposes. Methods for many layers run side by side, and their linear algebra meets in one batch
 * (see `linalg/rounds.ts`), so a method is written for one layer and never loops over them.
 *
 * @module
 */
import type { Tensor, Tensor1D, Tensor3D } from "@tensorflow/tfjs-core";
import type { LinearAlgebra, Report } from "@/linalg/mod.ts";
import type { PiRule } from "./damping.ts";
import type { Layer } from "./layer/mod.ts";
import type { NamedTensors } from "./named_tensors.ts";
import type { PairProducts } from "./samples.ts";

export type DampingRule = "factored" | "plain" | "exact";
export type CoarseSpace =
  | "nicolaides"
  | "spectral"
  | "residual"
  | "krylov_nicolaides"
  | "tselepidis";

/** Every option of every method, settled: defaults filled in, combinations checked. */
export interface MethodOptions {
  /** λ, at least one; several are a sweep. */
  readonly dampings: readonly number[];
  readonly dampingRule: DampingRule;
  readonly pi: PiRule;
  /** Exponent of the damped curvature; −1 preconditions. */
  readonly power: number;
  readonly dampedTerms: "first" | "all";
  readonly indefinite: "floor" | "abs_factors";
  /** Least denominator of two-term solves. */
  readonly floor: number;
  readonly mbfBlocks: "per_neuron" | "averaged";
  readonly coarseSpace: CoarseSpace;
  readonly rhs: "residual" | "gradient";
  /** Relative, of singular pairs. */
  readonly tolerance: number;
  readonly maxIterations: number;
  readonly tkfacLocations: "independent" | "exact";
}

export const DEFAULT_OPTIONS: MethodOptions = {
  dampings: [0],
  dampingRule: "factored",
  pi: "trace",
  power: -1,
  dampedTerms: "first",
  indefinite: "floor",
  floor: 0.05,
  mbfBlocks: "per_neuron",
  coarseSpace: "nicolaides",
  rhs: "residual",
  tolerance: 1e-6,
  maxIterations: 1000,
  tkfacLocations: "independent",
};

/** What a method works with. */
export interface Context {
  /** Name of the layer; prefixes the names of its problems. */
  readonly name: string;
  readonly linalg: LinearAlgebra;
  readonly options: MethodOptions;
}

/** The inverse (or another power) of a layer's damped curvature, ready to be applied. */
export interface Preconditioner {
  /** `(F̂ + damping)^power V`, one a damping of the options; the caller disposes them. */
  apply(V: Tensor3D): Tensor3D[];
  /** `F̂ V` of the undamped approximation; the caller disposes it. Null where only an inverse is known. */
  multiply(V: Tensor3D): Tensor3D | null;
  /** By factor (`A`, `G`), one a block of the layer; complete once settled. */
  readonly reports: Readonly<Record<string, Report[]>>;
  /** π of each block, where the damping was split by it. */
  readonly pi?: Tensor1D;
  /** Largest eigenvalue of F̂ in each block, for telling which damping would serve. */
  readonly largest?: Tensor1D;
  /** Eigenvalues of factors that had to be found, by factor, `[b, d]`: for those who want to know. */
  readonly spectra?: NamedTensors;
  /** The tensors a client needs to precondition by itself, by wire name. */
  readonly forms: Readonly<Record<string, Tensor>>;
  dispose(): void;
}

/** A method of independent layers. `X` is the kind of samples it takes, `S` what it keeps of them. */
export interface LayerMethod<X extends PairProducts, S> {
  /** What a batch says. */
  observe(samples: X, context: Context): Promise<S>;
  /**
   * Computes what is costly.
   * @param samples the batch of `state`, for methods that re-estimate a spectrum in the new basis.
   */
  refresh(state: S, context: Context, samples?: X): Promise<Preconditioner>;
  /**
   * The running average `ρ·old + (1 − ρ)·batch`, where that is not what it is of each tensor.
   * @param rho ρ, in (0, 1).
   */
  average?(old: S, samples: X, rho: number, context: Context): Promise<S>;
  /** A state from its tensors ({@linkcode NamedTensors}), where it holds more than these. */
  revive?(tensors: NamedTensors, layer: Layer, options: MethodOptions): S;
  /** Disposes a state. */
  release(state: S): void;
  /** A shorter way from a batch to its preconditioner where there is one (Woodbury), else null. */
  direct?(samples: X, context: Context): Promise<Preconditioner | null>;
}

/** One layer of a coupled model. */
export interface ModelLayer<X extends PairProducts> {
  readonly layer: Layer;
  readonly samples: X;
}

/** The preconditioner of a whole model: updates of all layers from gradients of all layers. */
export interface ModelPreconditioner {
  /** `[damping][layer]`; the caller disposes them. */
  apply(gradients: readonly Tensor3D[]): Promise<Tensor3D[][]>;
  /** `F̂ v`, null where the approximation has no undamped form. */
  multiply(vectors: readonly Tensor3D[]): Tensor3D[] | null;
  /** By layer, then factor. */
  readonly reports: readonly Readonly<Record<string, Report[]>>[];
  /** By layer: the tensors from which it can be made again; of the first damping. */
  readonly forms: readonly NamedTensors[];
  dispose(): void;
}

/** A method that couples layers. */
export interface ModelMethod<X extends PairProducts> {
  refresh(layers: readonly ModelLayer<X>[], context: Context): Promise<ModelPreconditioner>;
}
