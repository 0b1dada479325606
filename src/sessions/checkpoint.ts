/**
 * A session again from its file.
 *
 * @module
 */
import { type Tensor, tensor } from "@tensorflow/tfjs-core";
import type { NamedTensors } from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import { type Document, isTensor } from "@/wire/mod.ts";
import { hashOf, type Identity } from "./configuration.ts";
import { FORMAT, type Head } from "./head.ts";
import { type BatchWords, type LayerState, newLayer, type SessionState } from "./state.ts";

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
