/**
 * An optimizer and its session as one safetensors file.
 *
 * The session's file is taken apart and its tensors are named `session/<name>`, its metadata is kept as one string;
 * beside them stand the velocities, `optimizer/<variable>/momentum`. So any reader of safetensors opens the whole.
 *
 * @module
 */
import { tensor } from "@tensorflow/tfjs";
import {
  decodeSafetensors,
  type EncodedTensor,
  encodeSafetensors,
  type WireTensor,
} from "@/wire/documents.ts";
import { joined } from "../client/codec.ts";
import { toWire } from "../wire_tensors.ts";
import type { NamedTensor } from "./descent.ts";
import type { Settings } from "./options.ts";

/** What of an optimizer is no tensor. */
export interface OptimizerState {
  readonly method: Settings["method"];
  /** Steps taken. */
  readonly step: number;
  /** Of the preconditioner in use. */
  readonly statisticsStep: number;
  readonly damping: number | null;
}

const FORMAT = "curvd-trainer-1";
const SESSION = "session/";
const OPTIMIZER = "optimizer/";

/** The file; `weights` stay the caller's. */
export async function packCheckpoint(
  session: Uint8Array<ArrayBuffer>,
  state: OptimizerState,
  weights: readonly NamedTensor[],
): Promise<Uint8Array<ArrayBuffer>> {
  const { metadata, tensors } = decodeSafetensors(session);
  const parts = new Map<string, EncodedTensor>();
  for (const [name, tensor] of tensors) parts.set(SESSION + name, encoded(tensor));
  for (const { name, tensor } of weights) {
    parts.set(OPTIMIZER + name, encoded(await toWire(tensor)));
  }
  return joined(encodeSafetensors({
    format: FORMAT,
    session: JSON.stringify(Object.fromEntries(metadata)),
    optimizer: JSON.stringify(state),
  }, parts));
}

/**
 * The reverse; the caller disposes the weights.
 *
 * @throws RangeError where the file is none of these, or another method's.
 */
export function unpackCheckpoint(file: Uint8Array<ArrayBuffer>, method: Settings["method"]): {
  session: Uint8Array<ArrayBuffer>;
  state: OptimizerState;
  weights: NamedTensor[];
} {
  const { metadata, tensors } = decodeSafetensors(file);
  const [format, ofSession, ofOptimizer] = ["format", "session", "optimizer"]
    .map((key) => metadata.get(key));
  if (format !== FORMAT || ofSession === undefined || ofOptimizer === undefined) {
    throw new RangeError("Cannot load this file as it is no checkpoint of a CurvatureOptimizer");
  }
  const state: OptimizerState = JSON.parse(ofOptimizer);
  if (state.method !== method) {
    throw new RangeError(
      `Cannot load a checkpoint of ${state.method} into an optimizer of ${method}`,
    );
  }
  const parts = new Map<string, EncodedTensor>();
  const weights: NamedTensor[] = [];
  for (const [name, leaf] of tensors) {
    if (name.startsWith(SESSION)) parts.set(name.slice(SESSION.length), encoded(leaf));
    else {
      const values = tensor(leaf.data, [...leaf.shape], "float32");
      weights.push({ name: name.slice(OPTIMIZER.length), tensor: values });
    }
  }
  return { session: joined(encodeSafetensors(JSON.parse(ofSession), parts)), state, weights };
}

function encoded({ dtype, shape, data }: WireTensor): EncodedTensor {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { dtype: data instanceof Int32Array ? dtype : "F32", shape, bytes };
}
