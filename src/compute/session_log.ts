/**
 * Changes as entries of the store's log: the request that made them, without what can be computed again.
 *
 * An entry is a document like a checkpoint's: plain fields, and of each layer either the batch that went into the averages, in
 * the dtype it came in, or what the batch left of them, whichever is less. Replayed in order from the last snapshot, entries
 * lead to the state there was.
 *
 * @module
 */
import { type Identity, isPackable, type Parts } from "@/sessions/mod.ts";
import {
  decodeDocument,
  type Document,
  type Dtype,
  type EncodedTensor,
  encodeSafetensors,
  isTensor,
  packedLength,
  packedSide,
  packSymmetric,
  tensorOf,
  unpackSymmetric,
  type WireTensor,
  writeElements,
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

/** What was left of a layer, on the host: tensors by group and name, as `averages/A`. */
export type Remains = Readonly<Record<string, WireTensor>>;

/** Fields of a request's layer that are a batch. */
const BATCH = ["inputs", "output_gradients", "mask"];
/** Those that move the state. */
const MOVING = [...BATCH, "A", "A_diagonal", "G"];
const GRADIENTS = ["gradient", "bias_gradient"];
/** δ₀ that a step of the quadratic model left, `[b, d_out, d_in]`: a result, as it cannot be had again without gradients. */
export const LAST_UPDATE = "last_update";
/** Before the names of what is left of a layer: as it is, or as upper triangles. */
const LEFT = "left/", PACKED = "left/packed/";

/** Dtypes of requests that an entry keeps; others are written as what they were rounded to. */
const KEPT_DTYPES: readonly string[] = ["F32", "F16", "BF16"];

/**
 * An entry's bytes, which may share their memory with the request's tensors.
 *
 * @param remains of the layers whose batch is not kept.
 */
export function entryParts(
  { request, ...rest }: Entry,
  identity: Identity,
  remains: ReadonlyMap<string, Remains> = new Map(),
): Parts {
  const moving = [...MOVING, ...(gradientsMove(identity) ? GRADIENTS : []), LAST_UPDATE];
  const { layers, ...fields } = request;
  const dtypes: Record<string, string> = {};
  const tensors = new Map<string, EncodedTensor>();
  const words = Object.fromEntries(
    Object.entries(layers ?? {}).map(([name, layer]) => {
      const left = remains.get(name);
      for (const [field, leaf] of Object.entries(layer)) {
        const isKept = isTensor(leaf) && moving.includes(field) &&
          (left === undefined || field === LAST_UPDATE);
        if (!isKept) continue;
        const tensor = encoded(leaf);
        if (tensor.dtype !== leaf.dtype) dtypes[`${name}.${field}`] = leaf.dtype;
        tensors.set(`${name}.${field}`, tensor);
      }
      for (const [at, tensor] of Object.entries(left ?? {})) {
        const isPacked = isPackable(at.slice(at.indexOf("/") + 1), tensor);
        const of = isPacked ? packed(tensor) : tensor;
        tensors.set(`${name}.${isPacked ? PACKED : LEFT}${at}`, encoded(of));
      }
      return [
        name,
        Object.fromEntries(Object.entries(layer).filter(([, leaf]) => !isTensor(leaf))),
      ];
    }),
  );
  const document = { entry: rest, request: fields, dtypes, ...(layers ? { layers: words } : {}) };
  return encodeSafetensors({ document: JSON.stringify(document) }, tensors);
}

/** The entry of such bytes, and what it keeps of layers whose batch it does not. */
export function entryOf(
  bytes: Uint8Array<ArrayBuffer>,
): { entry: Entry; remains: Map<string, Remains> } {
  const { entry, request, dtypes, layers } = decodeDocument(bytes, "safetensors") as Document & {
    entry: Omit<Entry, "request">;
    request: Document;
    dtypes: Record<string, Dtype>;
  };
  const remains = new Map<string, Remains>();
  for (const [name, layer] of Object.entries(layers ?? {})) {
    const left: Record<string, WireTensor> = {};
    for (const [field, leaf] of Object.entries(layer)) {
      if (!isTensor(leaf)) continue;
      if (field.startsWith(LEFT)) {
        const isPacked = field.startsWith(PACKED);
        left[field.slice(isPacked ? PACKED.length : LEFT.length)] = isPacked
          ? unpacked(leaf)
          : leaf;
        delete layer[field];
      } else layer[field] = { ...leaf, dtype: dtypes[`${name}.${field}`] ?? leaf.dtype };
    }
    if (Object.keys(left).length > 0) remains.set(name, left);
  }
  return { entry: { ...entry, request: layers ? { ...request, layers } : request }, remains };
}

/** Bytes that the batch of a request's layer has in an entry; none where the layer comes with no batch. */
export function batchBytes(layer: Readonly<Record<string, unknown>>): number {
  return BATCH.map((field) => layer[field]).filter(isTensor)
    .reduce((sum, leaf) => sum + itemBytes(leaf) * leaf.data.length, 0);
}

function itemBytes({ dtype }: WireTensor): number {
  return dtype === "F16" || dtype === "BF16" ? 2 : 4;
}

function encoded({ dtype, shape, data }: WireTensor): EncodedTensor {
  if (data instanceof Int32Array) {
    return {
      dtype: "I32",
      shape,
      bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    };
  }
  const kept = KEPT_DTYPES.includes(dtype) ? dtype as "F32" : "F32";
  return { dtype: kept, shape, bytes: writeElements(kept, data) };
}

/** `[b, d, d]` as `[b, d(d+1)/2]`. */
function packed({ shape, data }: WireTensor): WireTensor {
  const d = shape.at(-1)!;
  const triangles = packSymmetric(data as Float32Array, d);
  return tensorOf([...shape.slice(0, -2), packedLength(d)], triangles);
}

function unpacked({ shape, data }: WireTensor): WireTensor {
  const length = shape.at(-1)!, d = packedSide(length)!;
  const matrices = new Float32Array(data.length / length * d * d);
  for (let b = 0; b * length < data.length; b++) {
    const triangle = (data as Float32Array).subarray(b * length, (b + 1) * length);
    matrices.set(unpackSymmetric(triangle, d), b * d * d);
  }
  return tensorOf([...shape.slice(0, -1), d, d], matrices);
}
