/**
 * A refresh beside the steps: layer by layer, so that a step waits for one slice at the most.
 *
 * It works on the averages as they were when it was due. Steps go on with the old preconditioner; what they take into the
 * averages, and into S of EKFAC, is theirs to keep: S is turned into the new basis when that is installed.
 *
 * @module
 */
import { dispose, keep, type Tensor3D } from "@tensorflow/tfjs-core";
import { mapNamed, type NamedTensors, transported } from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import type { Stack } from "@/linalg/mod.ts";
import {
  findingsOf,
  formsOf,
  type Identity,
  type LayerState,
  NO_TENSORS,
  type Refreshed,
  refreshed,
  type SessionState,
  unbased,
  withLayers,
} from "@/sessions/mod.ts";
import { diagnosed } from "./session_diagnostics.ts";
import { layerOfDescription } from "./session_layers.ts";
import { disposeBut, transact } from "./session_transaction.ts";

export class Refresher {
  #captured: SessionState;
  readonly #waiting: string[][];
  /** What tells how far the averages have moved from the preconditioner there was. */
  readonly #old: ReadonlyMap<string, Pick<LayerState, "forms" | "reference">>;

  private constructor(
    private readonly engine: Engine,
    private readonly identity: Identity,
    state: SessionState,
  ) {
    this.#captured = capture(state);
    this.#old = new Map(
      [...state.layers].map(([name, { forms, reference }]) => [
        name,
        { forms: cloned(forms), reference: cloned(reference) },
      ]),
    );
    const names = [...state.layers].filter(([, { batches }]) => batches > 0).map(([name]) => name);
    const isCoupled = identity.method === "kfac_tridiagonal" ||
      identity.method === "kfac_two_level";
    this.#waiting = isCoupled ? [names] : names.map((name) => [name]);
  }

  /** Holds on to the averages of now. */
  static begin(engine: Engine, identity: Identity, state: SessionState): Refresher {
    return new Refresher(engine, identity, state);
  }

  /** The revision whose averages these are. */
  get of(): number {
    return this.#captured.revision;
  }

  /** Does a slice. @returns whether there is more to do. @throws CurvdError what the linear algebra threw. */
  async advance(): Promise<boolean> {
    const names = this.#waiting.shift();
    if (names !== undefined) {
      const { identity } = this;
      const captured = this.#captured;
      const { state } = await transact(this.engine, async (linalg) => {
        const made = await formsOf(captured, {
          identity,
          linalg,
          layerOf: (name) => layerOfDescription(name, captured.layers.get(name)!.description),
          mayDefer: false,
          retains: false,
        }, new Set(names));
        const layers = [...made].map(([name, { forms }]) =>
          [name, { ...captured.layers.get(name)!, forms }] as const
        );
        const findings = [...made].map(([name, each]) => {
          const before = { ...captured.layers.get(name)!, ...this.#old.get(name) };
          return [name, findingsOf(before, each)] as const;
        });
        const state = withLayers(captured, layers);
        const { read, finish } = diagnosed(new Map(findings));
        return {
          state,
          read,
          finish: (arrays) => ({ answer: null, state: finish(state, arrays) }),
        };
      });
      this.#captured = state;
    }
    return this.#waiting.length > 0;
  }

  async finish(): Promise<void> {
    while (await this.advance());
  }

  /** The current state with the new preconditioner; its new tensors belong to the caller. */
  installed(current: SessionState, retains: boolean): SessionState {
    const made: Refreshed = new Map(
      [...this.#captured.layers].filter(([, { forms }]) => Object.keys(forms).length > 0)
        .map(([name, captured]) => {
          return [name, {
            forms: this.#carried(captured, current.layers.get(name)!),
            reports: {}, // told with the diagnostics
          }];
        }),
    );
    const next = refreshed(current, made, { retains });
    // what drift is measured from, and two-level K-FAC's batch, are those of the averages that were refreshed
    const layers = [...made].map(([name, { forms }]) => {
      const layer = next.layers.get(name)!;
      const { averages, raw, batches, diagnostics } = this.#captured.layers.get(name)!;
      dispose({ ...layer.reference });
      dispose({ ...layer.rawOfForms?.batch });
      const isBounded = current.settings.refresh.drift !== null;
      return [name, {
        ...layer,
        batchesAtRefresh: batches,
        diagnostics,
        reference: isBounded ? cloned(unbased(averages, forms)) : NO_TENSORS,
        rawOfForms: raw && { ...raw, batch: cloned(raw.batch) },
      }] as const;
    });
    return {
      ...withLayers(next, layers),
      age: current.age - this.#captured.age,
      isStale: current.isStale && current.damping !== this.#captured.damping, // λ was changed meanwhile
    };
  }

  /** The new forms, with S of EKFAC carried over from what the steps have made of it. */
  #carried({ forms }: LayerState, current: LayerState): NamedTensors {
    const copied = cloned(forms);
    const isCarried = "S" in copied && "S" in current.forms &&
      (this.identity.scalings === "batch_gradient" || current.source === "samples");
    if (!isCarried) return copied;
    copied.S.dispose();
    const basisOf = (of: NamedTensors) => ({ Q_A: of.Q_A as Stack, Q_G: of.Q_G as Stack });
    const S = keep(
      transported(current.forms.S as Tensor3D, basisOf(current.forms), basisOf(copied)),
    );
    return { ...copied, S };
  }

  dispose(): void {
    disposeBut(this.#captured, null);
    for (const { forms, reference } of this.#old.values()) {
      dispose([{ ...forms }, { ...reference }]);
    }
  }
}

/** Tensors of one's own, whoever's scope is open; nothing is copied on the device. */
function cloned(tensors: NamedTensors): NamedTensors {
  return mapNamed(tensors, (tensor) => keep(tensor.clone()));
}

/** The averages of a state, as tensors of one's own. */
function capture(state: SessionState): SessionState {
  const layers = [...state.layers].map(([name, layer]) =>
    [name, {
      ...layer,
      averages: cloned(layer.averages),
      forms: NO_TENSORS,
      raw: layer.raw && { ...layer.raw, batch: cloned(layer.raw.batch) },
      rawOfForms: null,
      reference: NO_TENSORS,
      previous: NO_TENSORS,
    }] as const
  );
  return { ...withLayers(state, layers), retained: null };
}
