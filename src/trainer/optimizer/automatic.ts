/**
 * The mode that turns out cheaper: the first step is the server's, and is measured (see auto.ts).
 *
 * @module
 */
import type { LayerBlock } from "../capture/mod.ts";
import type { CurvdClient } from "../client/mod.ts";
import { bytesOf, chooseMode, measureClient, measureRoundTrip, planOf } from "./auto.ts";
import type { Answer, Ask, Curvature } from "./curvature.ts";
import type { TrainerEvent } from "./events.ts";
import { LocalCurvature } from "./local.ts";
import type { Settings } from "./options.ts";
import { RemoteCurvature } from "./remote.ts";
import { refreshOf } from "./session_request.ts";
import type { SessionLink } from "./session_link.ts";

/** What an optimizer makes its curvature of. */
export interface CurvatureParts {
  readonly client: CurvdClient;
  readonly link: SessionLink;
  readonly blocks: readonly LayerBlock[];
  readonly settings: Settings;
  readonly tell: (event: TrainerEvent) => void;
}

/** The curvature of the mode that the settings name. */
export function curvatureOf(parts: CurvatureParts): Curvature {
  const { link, blocks, settings, tell } = parts;
  switch (settings.mode) {
    case "auto":
      return new AutomaticCurvature(parts);
    case "local":
      return new LocalCurvature(link, blocks, settings, tell);
    case "remote":
      return new RemoteCurvature(link, blocks, settings, tell);
  }
}

export class AutomaticCurvature implements Curvature {
  #chosen: Curvature | null = null;
  readonly #first: RemoteCurvature;

  constructor(private readonly parts: CurvatureParts) {
    const { link, blocks, settings, tell } = parts;
    this.#first = new RemoteCurvature(link, blocks, { ...settings, maxDelay: 0 }, tell);
  }

  get #current(): Curvature {
    return this.#chosen ?? this.#first;
  }

  get mode() {
    return this.#current.mode;
  }

  get version(): number {
    return this.#current.version;
  }

  get needsStatistics(): boolean {
    return this.#current.needsStatistics;
  }

  ageAt(step: number): number {
    return this.#current.ageAt(step);
  }

  async precondition(ask: Ask): Promise<Answer | null> {
    if (this.#chosen) return await this.#chosen.precondition(ask);
    const examples = [...ask.statistics?.layers.values() ?? []][0]?.inputs.shape[0] ?? 1;
    const answer = await this.#first.precondition(ask);
    if (answer) await this.#choose(ask.step, examples);
    return answer;
  }

  /** Local from now on: what synchronous steps need. */
  asLocal(): LocalCurvature {
    if (this.#chosen instanceof LocalCurvature) return this.#chosen;
    const { link, blocks, settings, tell } = this.parts;
    const local = new LocalCurvature(link, blocks, settings, tell);
    this.#chosen = local;
    return local;
  }

  reset(statisticsStep: number): void {
    this.#current.reset(statisticsStep);
  }

  settle(): Promise<void> {
    return this.#current.settle();
  }

  dispose(): void {
    this.#current.dispose();
  }

  async #choose(step: number, examples: number): Promise<void> {
    const { client, link, blocks, settings, tell } = this.parts;
    const { asynchronous, maxDelay, onLost } = settings;
    const { ms, serverMs, bytes } = this.#first.lastCost!;
    const roundTripMs = await measureRoundTrip(client);
    const plan = await planOf(client, blocks, settings.method, examples);
    const { gradient, preconditioner } = bytesOf(blocks);
    const choice = chooseMode({
      roundTripMs,
      bytesPerMs: bytes / Math.max(ms - serverMs - roundTripMs, 1e-3),
      serverUpdateMs: plan?.updateMs ?? 0,
      updateFlops: plan?.updateFlops ?? 0,
      clientFlopsPerMs: await measureClient(),
      gradientBytes: gradient,
      preconditionerBytes: preconditioner,
    }, settings);
    tell({ type: "mode", mode: choice.mode, why: choice.why });
    if (choice.mode === "local") return this.asLocal().reset(step);
    const remote = new RemoteCurvature(link, blocks, settings, tell);
    remote.reset(step);
    this.#chosen = remote;
    if (!asynchronous || maxDelay === 0) return;
    const refresh = { ...refreshOf(settings), mode: "async" as const };
    await link.run((session) => session.patch({ refresh }), onLost);
  }
}
