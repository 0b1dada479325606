/**
 * A session as a document: its head (everything that is no tensor) and its tensors by layer and group.
 *
 * As a safetensors file its tensors are named `<layer>.average.A`, `<layer>.preconditioner.Q_A` and so on. The same document is
 * the store's snapshot and the checkpoint that HTTP gives and takes.
 *
 * @module
 */
import { type Tensor, tensor } from "@tensorflow/tfjs-core";
import type { NamedTensors } from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { CurvdError } from "@/errors.ts";
import { type Document, isTensor, tensorOf } from "@/wire/mod.ts";
import { hashOf, type Identity } from "./configuration.ts";
import {
  type BatchWords,
  type LayerState,
  newLayer,
  type SessionState,
  tensorGroups,
} from "./state.ts";

/** Version of the head. */
const FORMAT = 1;

/** Everything of a session that is no tensor, as JSON. */
export interface Head {
  readonly format: number;
  readonly configuration_hash: string;
  readonly identity: Identity;
  readonly state: Omit<SessionState, "layers" | "retained"> & {
    readonly layers: readonly LayerHead[];
  };
}

/** Of one layer; a list, as JSON's objects do not keep the order of names like "0". */
interface LayerHead
  extends Omit<LayerState, "averages" | "forms" | "reference" | "previous" | "raw" | "rawOfForms"> {
  readonly name: string;
  readonly raw: BatchWords | null;
  readonly rawOfForms: BatchWords | null;
}

export function headOf(identity: Identity, state: SessionState): Head {
  const { layers, retained: _, ...counters } = state;
  return {
    format: FORMAT,
    configuration_hash: hashOf(identity),
    identity,
    state: {
      ...counters,
      layers: [...layers].map(([name, layer]) => {
        const { batches, description, tolerances, source, diagnostics, raw, rawOfForms } = layer;
        return {
          name,
          batches,
          description,
          tolerances,
          source,
          diagnostics,
          raw: raw?.words ?? null,
          rawOfForms: rawOfForms?.words ?? null,
        };
      }),
    },
  };
}

/** The session's tensors, read back in one go, with its head as `session`. */
export async function checkpointOf(
  engine: Engine,
  identity: Identity,
  state: SessionState,
): Promise<Document> {
  const named = [...state.layers].flatMap(([name, layer]) =>
    Object.entries(tensorGroups(layer)).flatMap(([group, tensors]) =>
      Object.entries(tensors).map(([field, tensor]) => ({
        home: `${name}.${group}`,
        field,
        tensor,
      }))
    )
  );
  const arrays = await engine.read(named.map(({ tensor }) => tensor));
  const layers: Record<string, Record<string, unknown>> = {};
  named.forEach(({ home, field, tensor }, i) => {
    (layers[home] ??= {})[field] = tensorOf(tensor.shape, arrays[i]);
  });
  return { session: headOf(identity, state), layers };
}

/**
 * The state of such a document; its tensors are made anew and belong to the caller.
 *
 * @throws CurvdError `invalid-request` where the document is none, or not whole.
 */
export function stateOf(
  { session, layers = {} }: Document,
): { identity: Identity; state: SessionState } {
  const head = session as Head | undefined;
  if (head?.format !== FORMAT) {
    throw new CurvdError("invalid-request", "This is not the checkpoint of a session", {
      pointer: "/session/format",
      value: head?.format,
      limit: FORMAT,
    });
  }
  const { identity } = head;
  if (hashOf(identity) !== head.configuration_hash) {
    throw new CurvdError(
      "invalid-request",
      "The checkpoint's configuration is not the one hashed",
      {
        pointer: "/session/configuration_hash",
        value: head.configuration_hash,
        limit: hashOf(identity),
      },
    );
  }
  const group = (name: string, of: string): NamedTensors =>
    Object.fromEntries(
      Object.entries(layers[`${name}.${of}`] ?? {}).map(([field, leaf]): [string, Tensor] => {
        if (isTensor(leaf)) return [field, tensor(leaf.data, [...leaf.shape])];
        throw new CurvdError("invalid-request", `${name}.${of}.${field} is not a tensor`, {});
      }),
    );
  const restored = head.state.layers.map(({ name, raw, rawOfForms, ...layer }) => {
    const batchOf = (words: BatchWords | null, of: string) =>
      words && { batch: group(name, of), words };
    const state: LayerState = {
      ...newLayer(layer.description),
      ...layer,
      averages: group(name, "average"),
      forms: group(name, "preconditioner"),
      reference: group(name, "reference"),
      previous: group(name, "previous"),
      raw: batchOf(raw, "batch"),
      rawOfForms: batchOf(rawOfForms, "preconditioner_batch"),
    };
    expectWhole(name, state);
    return [name, state] as const;
  });
  return {
    identity,
    state: { ...head.state, layers: new Map(restored), retained: null },
  };
}

/** What the head counts must be there. */
function expectWhole(name: string, { batches, averages }: LayerState): void {
  const isGone = batches > 0 && Object.keys(averages).length === 0;
  if (!isGone) return;
  throw new CurvdError("invalid-request", `The averages of layer "${name}" are missing`, {
    layer: name,
    value: batches,
  });
}
