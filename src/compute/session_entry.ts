/**
 * The entry of a change, written as soon as it is known what goes into it.
 *
 * A batch that is kept is written while its change is computed. What a batch leaves of a layer is known when the averages have
 * moved, and is written while the update is computed. δ₀ of a quadratic model is known at the end.
 *
 * @module
 */
import { dispose, keep, type Tensor } from "@tensorflow/tfjs-core";
import type { NamedTensors } from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { isGradientMethod, outcomeBytes, outcomeOf, type SessionState } from "@/sessions/mod.ts";
import { isTensor, tensorOf, type WireTensor } from "@/wire/mod.ts";
import type { Draft, Journal } from "./session_journal.ts";
import type { Live } from "./session_live.ts";
import type { Turn } from "./turns.ts";
import { batchBytes, type Entry, entryParts, LAST_UPDATE, type Remains } from "./session_log.ts";

export class EntryWriter {
  /** Layers whose outcome is kept in place of their batch. */
  readonly #left: readonly string[];
  /** Whether all that is kept came with the request. */
  readonly #isKnown: boolean;
  #draft: Promise<Draft> | null = null;

  constructor(
    private readonly engine: Engine,
    private readonly device: Turn,
    private readonly journal: Journal,
    private readonly live: Live,
    private readonly entry: Entry,
    private readonly revision: number,
  ) {
    this.#left = layersLeft(live, entry);
    this.#isKnown = this.#left.length === 0 && entry.request.step_size === undefined;
    if (this.#isKnown) this.#draft = Promise.resolve(this.#begin(entry));
  }

  /** The averages have moved; where the work is done twice, the second time counts. Inside the work's tensor scope. */
  readonly whenTaken = (state: SessionState): void => {
    if (this.#isKnown || this.entry.request.step_size !== undefined) return;
    this.#replace(this.#remains(state).then((remains) => this.#begin(this.entry, remains)));
  };

  /** The entry of a change that led to this state. */
  async finish(state: SessionState): Promise<Draft> {
    this.#draft ??= this.device(() => this.#withLastUpdates(state));
    return await this.#draft;
  }

  /** The entry is in the log, and with it the bases of the layers that it keeps the outcome of. */
  committed({ version }: SessionState): void {
    for (const name of this.#left) this.live.loggedBases.set(name, version);
  }

  /** The change failed. */
  async discard(): Promise<void> {
    const draft = await this.#draft?.catch(() => null);
    if (draft) this.journal.discard(draft);
  }

  #begin(entry: Entry, remains?: ReadonlyMap<string, Remains>): Draft {
    const { id, identity } = this.live;
    return this.journal.begin(id, entryParts(entry, identity, remains), this.revision);
  }

  #replace(next: Promise<Draft>): void {
    const before = this.#draft;
    this.#draft = before ? before.then((draft) => (this.journal.discard(draft), next)) : next;
    this.#draft.catch(() => {}); // told where it is awaited
  }

  /** What was left of the layers that keep that, read back in one go. */
  async #remains({ layers, version }: SessionState): Promise<Map<string, Remains>> {
    const named = this.#left.flatMap((name) => {
      const withBasis = this.live.loggedBases.get(name) !== version;
      const groups: [string, NamedTensors][] = Object.entries(
        outcomeOf(layers.get(name)!, withBasis),
      );
      return groups.flatMap(([group, tensors]) =>
        Object.entries(tensors).map(([of, tensor]) => ({ name, at: `${group}/${of}`, tensor }))
      );
    });
    const arrays = await this.#read(named.map(({ tensor }) => tensor));
    const remains = new Map<string, Record<string, WireTensor>>();
    named.forEach(({ name, at, tensor }, i) => {
      const left = remains.get(name) ?? {};
      remains.set(name, { ...left, [at]: tensorOf(tensor.shape, arrays[i]) });
    });
    return remains;
  }

  /** The same of a step that also leaves δ₀. */
  async #withLastUpdates(state: SessionState): Promise<Draft> {
    const moved = [...state.layers].filter(([, { previous }]) => previous.update);
    const remains = await this.#remains(state);
    const arrays = await this.#read(moved.map(([, { previous }]) => previous.update));
    const { request } = this.entry;
    const fields = Object.fromEntries(moved.map(([name, { previous }], i) => [name, {
      ...request.layers![name],
      [LAST_UPDATE]: tensorOf(previous.update.shape, arrays[i]),
    }]));
    const layers = { ...request.layers, ...fields };
    return this.#begin({ ...this.entry, request: { ...request, layers } }, remains);
  }

  /** Reads tensors that may be gone before they are read. */
  async #read(tensors: readonly Tensor[]) {
    const held = tensors.map((tensor) => keep(tensor.clone()));
    try {
      return await this.engine.read(held);
    } finally {
      dispose(held);
    }
  }
}

/** The layers of a change whose outcome is less than their batch. Coupled layers are kept in one form or the other. */
function layersLeft({ identity, state }: Live, { request }: Entry): string[] {
  if (isGradientMethod(identity.method)) return [];
  const batches = Object.entries(request.layers ?? {})
    .filter(([name, layer]) =>
      state.layers.has(name) && isTensor(layer.inputs ?? layer.output_gradients)
    )
    .map(([name, layer]) => ({
      name,
      batch: batchBytes(layer),
      outcome: outcomeBytes(identity, state.layers.get(name)!),
    }));
  if (identity.method === "kfac_tridiagonal") {
    const total = (of: "batch" | "outcome") => batches.reduce((sum, each) => sum + each[of], 0);
    return total("outcome") < total("batch") ? batches.map(({ name }) => name) : [];
  }
  return batches.filter(({ batch, outcome }) => outcome < batch).map(({ name }) => name);
}
