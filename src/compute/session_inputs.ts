/**
 * The layers of a request to a session, looked at on the host: descriptions are the session's, tensors the request's.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import type { Identity, SessionState } from "@/sessions/mod.ts";
import { gradientFault, type SessionLayer, type WireTensor } from "@/wire/mod.ts";
import { type PreparedLayer, prepareLayer, type WireLayer } from "./layers.ts";
import { learned, sizesOf } from "./session_layers.ts";

/** A layer of a request to a session: tensors, and words about them. */
export type SessionFields = Readonly<Record<string, unknown>>;

/** Words that a request may say of all its layers. */
export interface RequestWords {
  readonly fisher?: "empirical" | "sampled" | "exact";
  readonly gradient_scale?: "example" | "mean" | number;
  readonly backprops?: number;
}

/** A layer whose tensors were looked at. */
export interface SessionInput {
  readonly prepared: PreparedLayer;
  /** The session's description with the sizes that these tensors told. */
  readonly description: SessionLayer;
  readonly hasRaw: boolean;
  readonly hasFactors: boolean;
  readonly hasGradient: boolean;
  /** Examples of the gradient, where anything tells. */
  readonly examples: number | null;
  /** Whether `fisher` was said by someone. */
  readonly statesFisher: boolean;
}

/**
 * Looks at the layers of a request.
 *
 * @throws CurvdError naming layer and tensor; `invalid-request` for a layer that the session does not have.
 */
export function prepareInputs(
  identity: Identity,
  state: SessionState,
  layers: Readonly<Record<string, SessionFields>>,
  words: RequestWords,
): Map<string, SessionInput> {
  return new Map(
    Object.entries(layers).map(([name, fields]) => {
      const layer = state.layers.get(name);
      if (!layer) {
        const known = [...state.layers.keys()];
        throw new CurvdError("invalid-request", `The session has no layer "${name}"`, {
          layer: name,
          limit: known.slice(0, 20),
        });
      }
      return [name, prepareInput(name, layer.description, identity, fields, words)];
    }),
  );
}

function prepareInput(
  name: string,
  description: SessionLayer,
  identity: Identity,
  { kind, samples, ...fields }: SessionFields,
  request: RequestWords,
): SessionInput {
  if (kind !== undefined && kind !== description.kind) {
    throw new CurvdError(
      "invalid-request",
      `Layer "${name}" is of kind ${description.kind} in this session, not ${kind}`,
      { layer: name, value: kind, limit: description.kind },
    );
  }
  const fisher = (fields.fisher as RequestWords["fisher"]) ?? request.fisher ?? identity.fisher;
  const wire = {
    ...description,
    sharing: identity.sharing,
    activations: identity.activations,
    gradient_scale: request.gradient_scale ?? identity.gradient_scale,
    backprops: request.backprops ?? identity.backprops,
    ...fields,
    fisher,
  } as WireLayer & Record<string, unknown>;
  const fault = gradientFault(wire as unknown as Parameters<typeof gradientFault>[0]);
  if (fault) {
    throw new CurvdError("invalid-request", `Layer "${name}", ${fault.field}: ${fault.message}`, {
      layer: name,
      tensor: fault.field,
    });
  }
  if (description.kind === "embedding" && wire.inputs) {
    wire.inputs = integers(wire.inputs as WireTensor, name);
  }
  const prepared = prepareLayer(wire, name, sizesOf(description));
  const { tensors, batch } = prepared;
  return {
    prepared,
    description: learned(description, prepared.layer),
    hasRaw: batch !== null,
    hasFactors: ["A", "A_diagonal", "G"].some((field) => field in tensors),
    hasGradient: "gradient" in tensors,
    examples: batch?.examples ?? (samples as number | undefined) ?? null,
    statesFisher: fisher !== undefined,
  };
}

/** Ids of an embedding, which JSON without a kind beside them reads as floats. */
function integers(ids: WireTensor, layer: string): WireTensor {
  if (ids.data instanceof Int32Array) return ids;
  const at = ids.data.findIndex((id) => !Number.isInteger(id));
  if (at >= 0) {
    throw new CurvdError("invalid-tensor", `Layer "${layer}": ids are integers: ${ids.data[at]}`, {
      layer,
      tensor: "inputs",
      value: ids.data[at],
    });
  }
  return { ...ids, dtype: "I32", data: Int32Array.from(ids.data) };
}
