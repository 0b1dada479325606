/**
 * Second-order training in the form of a TensorFlow.js optimizer: curvature by a curvd server.
 *
 *   θ ← θ − η (F̂ + λI)⁻¹ ∇,   with momentum, weight decay, KL clip, or steps by the quadratic model
 *
 * `step` is the whole of it, for every mode. `minimize` and `applyGradients` must answer at once, so they can only
 * apply what is already here: they work where mode is local and training asynchronous without waiting
 * (`onLate` stale or gradient), and so do `model.compile` and `model.fit`.
 *
 * @module
 */
import {
  dispose,
  type LayersModel,
  type NamedTensorMap,
  Optimizer,
  type Scalar,
  type Tensor,
  type Variable,
} from "@tensorflow/tfjs";
import { type BlockGradient, ModelCapture, type Statistics } from "../capture/mod.ts";
import { CurvdClient } from "../client/mod.ts";
import { adaptedDamping, isReported } from "./adaptive_damping.ts";
import { AutomaticCurvature, curvatureOf } from "./automatic.ts";
import { type OptimizerState, packCheckpoint, unpackCheckpoint } from "./checkpoint.ts";
import type { Answer, Curvature } from "./curvature.ts";
import { lossOfBatch, statisticsDue } from "./differentiation.ts";
import { Descent, type NamedTensor } from "./descent.ts";
import type { OptimizerStatus, StepReport } from "./events.ts";
import { LocalCurvature } from "./local.ts";
import { type CurvatureOptions, type Settings, settle } from "./options.ts";
import { firstExamples } from "./requests.ts";
import { SessionLink } from "./session_link.ts";
import { sessionRequestOf } from "./session_request.ts";

export class CurvatureOptimizer extends Optimizer {
  /** As TensorFlow.js names kinds of optimizer. */
  static get className(): string {
    return "Curvature";
  }

  /** TensorFlow.js takes anything with an optimizer's methods for an instance of it; this class does not. */
  static override [Symbol.hasInstance](instance: unknown): boolean {
    return Function.prototype[Symbol.hasInstance].call(this, instance);
  }

  readonly settings: Settings;
  readonly #capture: ModelCapture;
  readonly #link: SessionLink;
  readonly #curvature: Curvature;
  readonly #descent: Descent;
  /** λ as the server last told it. */
  #damping: number | null;

  /**
   * @param model whose trainable weights are those of now; frozen ones stay as they are.
   * @param client a server, or its address.
   * @throws RangeError for options that contradict each other, or a model that cannot be captured.
   */
  constructor(
    private readonly model: LayersModel,
    client: CurvdClient | string,
    options: CurvatureOptions,
  ) {
    super();
    this.settings = settle(options);
    const { exclude, onEvent } = this.settings;
    const { onUncovered } = options;
    this.#capture = new ModelCapture(model, { exclude, ...(onUncovered ? { onUncovered } : {}) });
    const variables = model.trainableWeights.map((weight) => weight.read() as Variable);
    this.#descent = new Descent(new Map(variables.map((v) => [v.name, v])), this.settings);
    const server = typeof client === "string" ? new CurvdClient(client) : client;
    const { blocks } = this.#capture;
    const link = new SessionLink(server, sessionRequestOf(this.settings, blocks), {
      lost: (error) => onEvent({ type: "lost", error }),
      back: (facts) => onEvent({ type: "back", ...facts }),
    });
    this.#link = link;
    const { settings } = this;
    this.#curvature = curvatureOf({ client: server, link, blocks, settings, tell: onEvent });
    const { damping } = settings;
    this.#damping = typeof damping === "object" ? damping.value : damping ?? null;
  }

  get status(): OptimizerStatus {
    const { mode, version } = this.#curvature;
    return {
      mode,
      step: this.iterations,
      version,
      age: this.#curvature.ageAt(this.iterations),
      damping: this.#damping,
      isLost: this.#link.isLost,
      session: this.#link.id,
    };
  }

  /**
   * Trains on one batch.
   *
   * @param inputs `[n, …]`. @param targets `[n, …]`, of the outputs' shape. Both stay the caller's.
   * @throws CurvdError as the server threw it; RangeError without a loss.
   */
  async step(inputs: Tensor, targets: Tensor): Promise<StepReport> {
    const begun = performance.now();
    const step = this.iterations;
    const learningRate = this.settings.learningRate(step);
    const lossOf = lossOfBatch(this.model, this.settings, inputs, targets);
    const { loss, gradients, statistics } = this.#differentiate(lossOf, undefined, inputs.shape[0]);
    const captured = performance.now();
    const asked = this.#ask(step, gradients, statistics);
    let answer: Answer | null = null;
    try {
      const [lossBefore] = await loss.data();
      const isTold = isReported(this.settings, step);
      const penaltyBefore = isTold ? await this.#descent.penalty() : 0;
      answer = await this.#curvature.precondition({ ...asked, learningRate });
      const answered = performance.now();
      this.#descend(step, asked.penalized, answer);
      this.incrementIterations();
      const facts = { step, loss: lossBefore, learningRate, klFactor: await klFactorOf(answer) };
      const report = this.#reportOf(facts, answer, {
        total: performance.now() - begun,
        capture: captured - begun,
        curvature: answered - captured,
      });
      if (isTold) await this.#adaptDamping(report, lossBefore + penaltyBefore, lossOf);
      this.settings.onEvent({ type: "step", ...report });
      return report;
    } finally {
      loss.dispose();
      asked.dispose();
      if (answer) disposeAnswer(answer);
    }
  }

  /**
   * Trains on a loss that is differentiated here, at once, with the preconditioner that is at hand.
   *
   * @throws RangeError unless mode is local and training asynchronous without waiting.
   */
  override minimize(
    f: () => Scalar,
    returnCost = false,
    varList?: Variable[],
  ): Scalar | null {
    const curvature = this.#localNow();
    const { loss, gradients, statistics } = this.#differentiate(f, varList);
    this.#applyNow(curvature, gradients, statistics);
    if (returnCost) return loss;
    loss.dispose();
    return null;
  }

  /**
   * Takes gradients where they would be preconditioned and followed at once; they bring no statistics.
   *
   * @param gradients by variable name; stay the caller's.
   * @throws RangeError as {@linkcode minimize}.
   */
  override applyGradients(gradients: NamedTensorMap | NamedTensor[]): void {
    const curvature = this.#localNow();
    const named = Array.isArray(gradients)
      ? Object.fromEntries(gradients.map(({ name, tensor }) => [name, tensor]))
      : gradients;
    const own = Object.fromEntries(
      Object.entries(named).map(([name, tensor]) => [name, tensor.clone()]),
    );
    this.#applyNow(curvature, own, null);
  }

  /** The number of steps, then velocities; these stay the optimizer's. */
  override async getWeights(): Promise<NamedTensor[]> {
    return [await this.saveIterations(), ...this.#descent.weights()];
  }

  /** Takes {@linkcode getWeights}' form; the curvature stays as it is. */
  override async setWeights(weights: NamedTensor[]): Promise<void> {
    this.#descent.setWeights(await this.extractIterations(weights));
  }

  /** The optimizer and its session, one safetensors file. The model's weights are not in it. */
  async save(): Promise<Uint8Array<ArrayBuffer>> {
    await this.#curvature.settle();
    const session = await this.#link.run((session) => session.checkpoint(), "wait");
    const age = this.#curvature.ageAt(this.iterations);
    const state: OptimizerState = {
      method: this.settings.method,
      step: this.iterations,
      statisticsStep: this.iterations - age,
      damping: this.#damping,
    };
    return await packCheckpoint(session, state, this.#descent.weights());
  }

  /**
   * Goes on where {@linkcode save} was called; the session is made what it was then.
   *
   * @throws RangeError for another method's checkpoint or another model's; CurvdError as the server threw it.
   */
  async load(checkpoint: Uint8Array<ArrayBuffer>): Promise<void> {
    const { session, state, weights } = unpackCheckpoint(checkpoint, this.settings.method);
    await this.#curvature.settle();
    await this.#link.restore(session);
    this.#descent.setWeights(weights);
    dispose(weights.map(({ tensor }) => tensor));
    this.iterations_ = state.step;
    this.#damping = state.damping;
    this.#curvature.reset(state.statisticsStep);
  }

  /** Ends the session and frees all tensors. @throws what failed in the background since the last step. */
  async close({ keepSession = false }: { keepSession?: boolean } = {}): Promise<void> {
    try {
      if (this.#link.isLost) return;
      await this.#curvature.settle();
      if (!keepSession) await this.#link.endSession();
    } finally {
      this.dispose();
    }
  }

  /** Frees all tensors at once; the session stays on the server until it is idle for as long as it was told. */
  override dispose(): void {
    this.#link.close();
    this.#curvature.dispose();
    this.#descent.dispose();
  }

  getConfig() {
    const { method, momentum, nesterov, weightDecay, decay, klClip, fisher } = this.settings;
    const learningRate = this.settings.learningRate(this.iterations);
    return { method, learningRate, momentum, nesterov, weightDecay, decay, klClip, fisher };
  }

  /** A pass over the model, with statistics where these are due. */
  #differentiate(lossOf: () => Scalar, varList?: Variable[], examples?: number) {
    const { statisticsExamples } = this.settings;
    const { needsStatistics } = this.#curvature;
    const captured = this.#capture.gradients(lossOf, {
      variables: varList,
      statistics: statisticsDue(this.settings, this.iterations, needsStatistics),
    });
    if (!captured.statistics || !statisticsExamples || examples === undefined) return captured;
    return {
      ...captured,
      statistics: firstExamples(captured.statistics, examples, statisticsExamples),
    };
  }

  /** The gradients of a step, as the curvature takes them. Takes over both. */
  #ask(step: number, gradients: NamedTensorMap, statistics: Statistics | null) {
    const penalized = this.#descent.penalized(gradients);
    const ofBlocks = new Map<string, BlockGradient>();
    for (const block of this.#capture.blocks) {
      const gradient = block.gradientOf(penalized);
      if (gradient) ofBlocks.set(block.name, gradient);
    }
    return {
      step,
      gradients: ofBlocks as ReadonlyMap<string, BlockGradient>,
      statistics,
      penalized,
      dispose: () =>
        dispose([gradients, penalized, ...[...ofBlocks.values()].map((g) => ({ ...g }))]),
    };
  }

  /** Follows the updates, and the plain gradient where there are none. */
  #descend(step: number, gradients: NamedTensorMap, answer: Answer | null): void {
    const { learningRate, gradientRate, stepSize } = this.settings;
    const updates = answer?.updates ?? {};
    const plain = Object.fromEntries(
      Object.entries(gradients).filter(([name]) => !(name in updates)),
    );
    const alongGradient = { updates: plain, rate: gradientRate(step) };
    if (stepSize === null) {
      this.#descent.step({ updates, rate: learningRate(step) }, alongGradient);
      return;
    }
    if (answer?.model) this.#descent.quadraticStep(updates, answer.model);
    this.#descent.step(alongGradient);
  }

  /** A step with what is here; takes over gradients and statistics. */
  #applyNow(
    curvature: LocalCurvature,
    gradients: NamedTensorMap,
    statistics: Statistics | null,
  ): void {
    const step = this.iterations;
    const asked = this.#ask(step, gradients, statistics);
    const ask = { ...asked, learningRate: this.settings.learningRate(step) };
    if (statistics) curvature.observe(ask);
    const answer = curvature.now(ask);
    this.#descend(step, asked.penalized, answer);
    asked.dispose();
    if (answer) disposeAnswer(answer);
    this.incrementIterations();
  }

  /** The curvature for steps that cannot wait. @throws RangeError where the options have it wait. */
  #localNow(): LocalCurvature {
    const { asynchronous, onLate } = this.settings;
    const curvature = this.#curvature;
    if (asynchronous && onLate !== "wait") {
      if (curvature instanceof AutomaticCurvature) return curvature.asLocal();
      if (curvature instanceof LocalCurvature) return curvature;
    }
    throw new RangeError(
      "Cannot step without waiting for the server: minimize, applyGradients and model.fit need mode " +
        '"local" with asynchronous: true and onLate "stale" or "gradient"; step() works in every mode',
    );
  }

  #reportOf(
    facts: Pick<StepReport, "step" | "loss" | "learningRate" | "klFactor">,
    answer: Answer | null,
    ms: StepReport["ms"],
  ): StepReport {
    return {
      ...facts,
      direction: answer ? "curvature" : "gradient",
      version: answer?.version ?? this.#curvature.version,
      age: answer?.age ?? 0,
      delay: answer?.delay ?? 0,
      damping: this.#damping,
      ...answer?.model,
      ms,
    };
  }

  /** Has λ adapted by what a step brought. */
  async #adaptDamping(
    { step, predictedChange = 0 }: StepReport,
    lossBefore: number,
    lossOf: () => Scalar,
  ): Promise<void> {
    const penalty = () => this.#descent.penalty();
    const outcome = { lossBefore, predictedChange, lossOf, penalty };
    const damping = await adaptedDamping(this.#link, this.settings, outcome);
    if (damping === null) return;
    this.#damping = damping;
    this.settings.onEvent({ type: "damping", step, damping });
  }
}

/** ν of an answer, read off the device where it is still there. */
async function klFactorOf(answer: Answer | null): Promise<number | null> {
  const factor = answer?.klFactor ?? null;
  return factor === null || typeof factor === "number" ? factor : (await factor.data())[0];
}

function disposeAnswer({ updates, klFactor }: Answer): void {
  dispose(updates);
  if (klFactor !== null && typeof klFactor !== "number") klFactor.dispose();
}
