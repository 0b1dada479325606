/**
 * A session again from its file: the head of its metadata, its tensors by name.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import type { LayerSize, NamedTensors } from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import { CheckpointDocument, splitName, validate } from "@/wire/mod.ts";
import { hashOf, sizeOf } from "./configuration.ts";
import { FORMAT, type Head } from "./head.ts";
import {
  type BatchWords,
  type LayerState,
  newLayer,
  type SessionState,
  tensorGroups,
} from "./state.ts";

/**
 * The head in a file's metadata.
 *
 * @throws CurvdError `invalid-request` where the file is no session's, or its configuration not the one that was hashed.
 */
export function headIn(metadata: ReadonlyMap<string, string>): Head {
  const head = parsed(metadata.get("document"))?.session as Head | undefined;
  if (head?.format !== FORMAT) {
    throw new CurvdError("invalid-request", "This is not the checkpoint of a session", {
      pointer: "/session/format",
      value: head?.format,
      limit: FORMAT,
    });
  }
  validate(CheckpointDocument, { session: head });
  const { identity, configuration_hash } = head;
  if (hashOf(identity) === configuration_hash) return head;
  throw new CurvdError("invalid-request", "The checkpoint's configuration is not the one hashed", {
    pointer: "/session/configuration_hash",
    value: configuration_hash,
    limit: hashOf(identity),
  });
}

function parsed(text: string | undefined): { session?: unknown } | null {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}

/**
 * The state of a head and the tensors of its file, which become the state's.
 *
 * @param tensors by name, as `fc1.average.A`.
 * @throws CurvdError `invalid-request` where a tensor is of no layer, or one is missing.
 */
export function stateOf(head: Head, tensors: ReadonlyMap<string, Tensor>): SessionState {
  const groups = new Map<string, Record<string, Tensor>>();
  for (const [name, tensor] of tensors) {
    const { layer: home = "", field } = splitName(name);
    groups.set(home, { ...groups.get(home), [field]: tensor });
  }
  const take = (name: string, group: string): NamedTensors => {
    const home = `${name}.${group}`;
    const named = groups.get(home) ?? {};
    groups.delete(home);
    return named;
  };
  const layers = head.state.layers.map(({ name, raw, rawOfForms, ...layer }) => {
    const batchOf = (words: BatchWords | null, group: string) =>
      words && { batch: take(name, group), words };
    const state: LayerState = {
      ...newLayer(layer.description),
      ...layer,
      averages: take(name, "average"),
      forms: take(name, "preconditioner"),
      reference: take(name, "reference"),
      previous: take(name, "previous"),
      raw: batchOf(raw, "batch"),
      rawOfForms: batchOf(rawOfForms, "preconditioner_batch"),
    };
    expectWhole(name, state);
    return [name, state] as const;
  });
  for (const home of groups.keys()) {
    throw new CurvdError("invalid-request", `The checkpoint has no place for tensors "${home}"`, {
      value: home,
    });
  }
  return { ...head.state, layers: new Map(layers), retained: null };
}

/** What the head counts must be there, in the sizes that the layer has. */
function expectWhole(name: string, state: LayerState): void {
  const { batches, averages, description } = state;
  if (batches > 0 && Object.keys(averages).length === 0) {
    throw new CurvdError("invalid-request", `The averages of layer "${name}" are missing`, {
      layer: name,
      value: batches,
    });
  }
  const size = sizeOf(description);
  if (!size) return;
  for (const [group, tensors] of Object.entries(tensorGroups(state))) {
    for (const [field, { shape }] of Object.entries(tensors)) {
      const expected = shapeOf(field, size);
      if (!expected || String(shape) === String(expected)) continue;
      throw new CurvdError(
        "invalid-request",
        `Layer "${name}": ${group}.${field} has shape [${shape}], expected [${expected}]`,
        { layer: name, tensor: `${group}.${field}`, value: shape, limit: expected },
      );
    }
  }
}

/** Names of averages and forms that are square of the side of inputs, or of outputs; or rows of eigenvalues of such. */
const OF_INPUTS = /^(A|A_inv|Q_A|deltaPhi|R|Q_R|R_root|terms\/\d+\/A|lambda_A)$/;
const OF_OUTPUTS = /^(G|G_inv|Q_G|deltaPsi|L|Q_L|L_root|terms\/\d+\/G|lambda_G)$/;

/** The shape that a tensor of a session must have; undefined where its name alone does not tell. */
function shapeOf(field: string, { kind, groups, dIn, dOut }: LayerSize): number[] | undefined {
  if (kind !== "dense" && kind !== "conv2d") return undefined;
  if (field === "S") return [groups, dOut, dIn];
  const d = OF_INPUTS.test(field) ? dIn : OF_OUTPUTS.test(field) ? dOut : undefined;
  if (d === undefined) return undefined;
  return field.startsWith("lambda") ? [groups, d] : [groups, d, d];
}
