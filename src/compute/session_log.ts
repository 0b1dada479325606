/**
 * Changes as entries of the store's log: the request that made them, without what can be computed again.
 *
 * An entry is a document like a checkpoint's: plain fields, and the raw tensors that went into the averages. Replayed in order
 * from the last snapshot, entries lead to the state there was.
 *
 * @module
 */
import type { Identity, Parts } from "@/sessions/mod.ts";
import {
  decodeDocument,
  type Document,
  encodeDocument,
  isTensor,
  PLAIN_OUTPUT,
} from "@/wire/mod.ts";
import { gradientsMove } from "./session_steps.ts";
import type { SessionCallName } from "./session_protocol.ts";

/** A logged change. */
export interface Entry {
  readonly call: SessionCallName | "install";
  readonly request: Document;
  /** Whether a refresh might wait: what is due depends on it. */
  readonly mayDefer: boolean;
  /** Of `install`: the revision whose averages the preconditioner is of. */
  readonly of?: number;
}

/** Fields of a request's layer that move the state. */
const MOVING = ["inputs", "output_gradients", "mask", "A", "A_diagonal", "G"];
const GRADIENTS = ["gradient", "bias_gradient"];
/** δ₀ that a step of the quadratic model left, `[b, d_out, d_in]`: a result, as it cannot be had again without gradients. */
export const LAST_UPDATE = "last_update";

/** An entry's bytes, which share their memory with the request's tensors. */
export function entryParts({ request, ...rest }: Entry, identity: Identity): Parts {
  const moving = [...MOVING, ...(gradientsMove(identity) ? GRADIENTS : []), LAST_UPDATE];
  const { layers, ...fields } = request;
  const dtypes: Record<string, string> = {};
  const kept = Object.fromEntries(
    Object.entries(layers ?? {}).map(([name, layer]) => [
      name,
      Object.fromEntries(
        Object.entries(layer).filter(([field, leaf]) => {
          if (!isTensor(leaf)) return true;
          if (leaf.dtype !== "F32") dtypes[`${name}.${field}`] = leaf.dtype;
          return moving.includes(field);
        }),
      ),
    ]),
  );
  const document = { entry: rest, request: fields, dtypes, ...(layers ? { layers: kept } : {}) };
  return encodeDocument(document, "safetensors", PLAIN_OUTPUT);
}

/** The entry of such bytes. */
export function entryOf(bytes: Uint8Array<ArrayBuffer>): Entry {
  const { entry, request, dtypes, layers } = decodeDocument(bytes, "safetensors") as Document & {
    entry: Omit<Entry, "request">;
    request: Document;
    dtypes: Record<string, string>;
  };
  for (const [name, layer] of Object.entries(layers ?? {})) {
    for (const [field, leaf] of Object.entries(layer)) {
      const dtype = dtypes[`${name}.${field}`];
      if (isTensor(leaf) && dtype) layer[field] = { ...leaf, dtype };
    }
  }
  return { ...entry, request: layers ? { ...request, layers } : request };
}
