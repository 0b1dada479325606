/**
 * Updates by the server: statistics and gradients there, updates back, one round trip a step.
 *
 * @module
 */
import { dispose, type NamedTensorMap, type Tensor1D } from "@tensorflow/tfjs";
import { CurvdError } from "@/errors.ts";
import { isTensor, type WireTensor } from "@/wire/documents.ts";
import { disposeStatistics, type LayerBlock } from "../capture/mod.ts";
import type { CurvdSession, SessionUpdates } from "../client/mod.ts";
import { newKey } from "../client/session.ts";
import { fromWire } from "../wire_tensors.ts";
import type { Answer, Ask, Curvature } from "./curvature.ts";
import type { TrainerEvent } from "./events.ts";
import { isGradientMethod, type Settings } from "./options.ts";
import { type BatchWords, readLayers, type RequestLayer } from "./requests.ts";
import { ServerLostError, type SessionLink } from "./session_link.ts";

/** What a step's request says beside its layers. */
interface StepWords extends BatchWords {
  readonly learning_rate: number;
  readonly step_size?: "quadratic_model";
  readonly l2?: number;
}

/** What a step's request and answer cost. */
export interface StepCost {
  /** From the request's sending to the answer's arrival. */
  readonly ms: number;
  /** Of these, what the server says it spent. */
  readonly serverMs: number;
  /** Of tensors, both ways. */
  readonly bytes: number;
}

export class RemoteCurvature implements Curvature {
  readonly mode = "remote";
  /** Of the last step; null before the first. */
  lastCost: StepCost | null = null;
  #version = 0;
  /** Of the preconditioner in use, as far as answers tell. */
  #statisticsStep = 0;
  /** Blocks that the session has seen statistics of. */
  #observed = new Set<string>();
  #generation = 0;

  constructor(
    private readonly link: SessionLink,
    private readonly blocks: readonly LayerBlock[],
    private readonly settings: Settings,
    private readonly tell: (event: TrainerEvent) => void,
  ) {}

  get version(): number {
    return this.#version;
  }

  get needsStatistics(): boolean {
    return this.link.generation !== this.#generation || this.#observed.size === 0;
  }

  ageAt(step: number): number {
    return this.#version === 0 ? 0 : step - this.#statisticsStep;
  }

  async precondition(ask: Ask): Promise<Answer | null> {
    const { onLost } = this.settings;
    if (this.link.isLost && onLost === "gradient") {
      if (ask.statistics) disposeStatistics(ask.statistics);
      return null;
    }
    const isObserving = ask.statistics !== null || isGradientMethod(this.settings.method);
    const { layers, words } = await readLayers(this.blocks, ask.statistics, ask.gradients);
    const request = { ...words, ...this.#wordsOf(ask) };
    try {
      const answer = isObserving
        ? await this.#step(layers, request)
        : await this.#updates(layers, request);
      return answer && await this.#inTime(ask, layers, request, answer);
    } catch (error) {
      if (error instanceof ServerLostError) return null;
      throw error;
    }
  }

  reset(statisticsStep: number): void {
    this.#statisticsStep = statisticsStep;
    this.#generation = this.link.generation;
    this.#observed = new Set(this.blocks.map(({ name }) => name));
  }

  settle(): Promise<void> {
    return Promise.resolve();
  }

  dispose(): void {}

  #wordsOf({ learningRate }: Ask): StepWords {
    const { stepSize, weightDecay } = this.settings;
    return {
      learning_rate: learningRate,
      ...(stepSize ? { step_size: stepSize, l2: weightDecay } : {}),
    };
  }

  async #step(layers: Record<string, RequestLayer>, words: StepWords): Promise<SessionUpdates> {
    const key = newKey();
    const begun = performance.now();
    const answer = await this.link.run(
      (session) => session.steps({ layers: this.#known(layers), ...words }, { key }),
      this.settings.onLost,
    );
    const { wait_ms = 0, compute_ms = 0, read_ms = 0 } = answer.timing ?? {};
    this.lastCost = {
      ms: performance.now() - begun,
      serverMs: wait_ms + compute_ms + read_ms,
      bytes: bytesIn(layers) + bytesIn(answer.layers),
    };
    if (this.link.generation !== this.#generation) {
      this.#observed.clear();
      this.#version = 0;
      this.#generation = this.link.generation;
    }
    for (const [name, { inputs }] of Object.entries(layers)) {
      if (inputs || isGradientMethod(this.settings.method)) this.#observed.add(name);
    }
    return answer;
  }

  /** Null where the session has lost its statistics: the next step brings new ones. */
  async #updates(
    layers: Record<string, RequestLayer>,
    { learning_rate }: StepWords,
  ): Promise<SessionUpdates | null> {
    try {
      type Request = Parameters<CurvdSession["updates"]>[0];
      const ofGradients = Object.fromEntries(
        Object.entries(layers).filter(([name, { gradient }]) => gradient && this.#has(name))
          .map(([name, { kind, gradient, bias_gradient }]) =>
            [name, { kind, gradient, bias_gradient }] as const
          ),
      );
      const request = { layers: ofGradients, learning_rate } as Request;
      return await this.link.run((session) => session.updates(request), this.settings.onLost);
    } catch (error) {
      if (error instanceof CurvdError && error.code === "conflict") return null;
      throw error;
    }
  }

  /** The layers that a step can answer: those with statistics, now or before. */
  #known(layers: Record<string, RequestLayer>): Record<string, RequestLayer> {
    if (isGradientMethod(this.settings.method)) return layers;
    return Object.fromEntries(
      Object.entries(layers).filter(([name, { inputs }]) => inputs || this.#has(name)),
    );
  }

  /** Whether the session has seen statistics of a block. */
  #has(name: string): boolean {
    return this.link.generation === this.#generation && this.#observed.has(name);
  }

  /** The answer, or what the options put in its place where its preconditioner comes late. */
  async #inTime(
    { step }: Ask,
    layers: Record<string, RequestLayer>,
    words: StepWords,
    answer: SessionUpdates,
  ): Promise<Answer | null> {
    const { cadence, maxDelay, onLate } = this.settings;
    this.#follow(answer, step);
    const delay = Math.max(0, step - cadence.nextRefresh(this.#statisticsStep));
    // without asynchronous refreshes the server itself waits for what is due
    if (maxDelay === 0 || delay < maxDelay) return this.#answerOf(answer, step, delay);
    this.tell({ type: "late", step, delay, then: onLate });
    if (onLate === "stale") return this.#answerOf(answer, step, delay);
    if (onLate === "gradient") return null;
    const key = newKey();
    await this.link.run((session) => session.refresh({ key }), this.settings.onLost);
    const again = await this.#updates(layers, words);
    if (!again) return null;
    this.#follow(again, step);
    return this.#answerOf(again, step, 0);
  }

  /** Which preconditioner answered. The server counts an age in batches of statistics. */
  #follow({ version, age }: SessionUpdates, step: number): void {
    if (version === this.#version && this.#version > 0) return;
    this.#version = version;
    this.#statisticsStep = this.settings.cadence.statisticsBefore(step, age);
    this.tell({ type: "refresh", version, step });
  }

  #answerOf(answer: SessionUpdates, step: number, delay: number): Answer {
    const { alpha, mu, predicted_change: predictedChange, kl_clip_factor: klFactor } = answer;
    const updates: NamedTensorMap = {};
    for (const block of this.blocks) {
      const layer = answer.layers[block.name];
      if (!layer) continue;
      const update = fromWire(layer.update as WireTensor);
      const bias_update = layer.bias_update &&
        fromWire(layer.bias_update as WireTensor) as Tensor1D;
      Object.assign(updates, block.updateOf({ update, bias_update }));
      dispose(bias_update ? [update, bias_update] : [update]);
    }
    return {
      updates,
      klFactor: klFactor ?? null,
      version: answer.version,
      age: this.ageAt(step),
      delay,
      ...(alpha === undefined
        ? {}
        : { model: { alpha, mu: mu ?? 0, predictedChange: predictedChange ?? 0 } }),
    };
  }
}

/** Of the tensors of layers. */
function bytesIn(layers: Readonly<Record<string, object>>): number {
  return Object.values(layers).flatMap((layer) => Object.values(layer) as unknown[])
    .reduce<number>((sum, leaf) => sum + (isTensor(leaf) ? leaf.data.byteLength : 0), 0);
}
