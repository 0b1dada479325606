/**
 * From the layers of a session's request to observations: descriptions are the session's, tensors the request's.
 *
 * @module
 */
import type { Tensor, Tensor3D } from "@tensorflow/tfjs-core";
import {
  Conv2dLayer,
  DenseLayer,
  EmbeddingLayer,
  type Layer,
  meanGradient,
  type NamedTensors,
  resolveLayer,
  type Samples,
  type Sizes,
} from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { Gradient, Identity, Observation, SessionState, Tolerances } from "@/sessions/mod.ts";
import { gradientFault, type SessionLayer, type WireTensor } from "@/wire/mod.ts";
import { upload } from "./ingest.ts";
import {
  describe,
  type PreparedLayer,
  prepareLayer,
  uploadField,
  uploadGradient,
  uploadStack,
  uploadStatistics,
  type WireLayer,
} from "./layers.ts";
import type { Remains } from "./session_log.ts";

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

/** The observation of a layer with statistics, its tensors on the device; belongs to the current tensor scope. */
export function observationOf(
  identity: Identity,
  { prepared, hasRaw }: SessionInput,
): Observation {
  const { layer } = prepared;
  if (hasRaw) {
    const statistics = uploadStatistics(prepared);
    const { inputs, outputGradients, mask } = statistics;
    const raw: Record<string, Tensor | undefined> = {
      inputs,
      output_gradients: outputGradients,
      mask: mask?.places,
    };
    return {
      layer,
      batch: {
        kind: "samples",
        samples: layer.samples(statistics),
        raw: Object.fromEntries(
          Object.entries(raw).filter((e): e is [string, Tensor] => e[1] !== undefined),
        ),
        words: prepared.batch!,
      },
    };
  }
  expectFactorsOffered(identity, prepared);
  return { layer, batch: { kind: "factors", ...factorsOf(identity, prepared) } };
}

/** The observation of a layer whose batch is gone; belongs to the current tensor scope. */
export function outcomeObservation(
  { prepared: { layer } }: SessionInput,
  left: Remains,
): Observation {
  const of = (group: string): NamedTensors =>
    Object.fromEntries(
      Object.entries(left).filter(([at]) => at.startsWith(`${group}/`))
        .map(([at, tensor]) => [at.slice(group.length + 1), upload(tensor)]),
    );
  return {
    layer,
    batch: { kind: "outcome", outcome: { averages: of("averages"), forms: of("forms") } },
  };
}

/** A batch's factors alone are enough for K-FAC, EKFAC and FOOF. */
function expectFactorsOffered({ method }: Identity, { layer, tensors }: PreparedLayer): void {
  const { name, kind } = layer;
  if (!["kfac", "ekfac", "foof"].includes(method) || kind === "scale_and_shift") {
    throw new CurvdError(
      "unsupported",
      `Layer "${name}": ${method} on ${kind} layers needs inputs and output_gradients, not factors`,
      { layer: name, suggestion: "send the raw batch" },
    );
  }
  const needed = [kind === "embedding" ? "A_diagonal" : "A", ...(method === "foof" ? [] : ["G"])];
  for (const field of needed) {
    if (field in tensors) continue;
    throw new CurvdError("invalid-request", `Layer "${name}": ${field} is missing`, {
      layer: name,
      tensor: field,
    });
  }
}

function factorsOf(
  { method }: Identity,
  prepared: PreparedLayer,
): { factors: NamedTensors; tolerances: Tolerances } {
  const { layer, symmetric } = prepared;
  const A: NamedTensors = layer.kind === "embedding"
    ? { frequencies: uploadField(prepared, "A_diagonal")! }
    : { A: uploadStack(prepared, "A") };
  const sides = method === "foof" ? ["A"] : ["A", "G"];
  return {
    factors: method === "foof" ? A : { ...A, G: uploadStack(prepared, "G") },
    tolerances: Object.fromEntries(
      sides.flatMap((side) => symmetric[side] ? [[side, symmetric[side].tolerances]] : []),
    ),
  };
}

/**
 * The gradient of a layer, as sent or of its batch; belongs to the current tensor scope.
 *
 * @throws CurvdError `invalid-request` where there is neither, or the batch's own is not what the client means.
 */
export function gradientOf(
  { prepared, hasGradient, hasRaw, examples, statesFisher }: SessionInput,
  observation: Observation | undefined,
): Gradient {
  if (hasGradient) return { V: uploadGradient(prepared), examples };
  const { name, kind } = prepared.layer;
  const refuse = (why: string): never => {
    throw new CurvdError("invalid-request", `Layer "${name}": gradient is missing, and ${why}`, {
      layer: name,
      tensor: "gradient",
    });
  };
  if (!hasRaw || observation?.batch.kind !== "samples") refuse("there is no batch to take it from");
  if (kind !== "dense" && kind !== "conv2d") refuse(`a ${kind} layer's is not taken of its batch`);
  const { fisher, backprops } = prepared.batch!;
  if (!statesFisher || fisher !== "empirical" || backprops !== 1) {
    refuse(
      'its batch\'s own is the gradient only with "fisher": "empirical" stated, and one backprop',
    );
  }
  const { samples } = observation!.batch as Observation["batch"] & { kind: "samples" };
  return { V: meanGradient(samples as Samples) as Tensor3D, examples };
}

/** A layer by its description alone, with the sizes known. */
export function layerOfDescription(name: string, description: SessionLayer): Layer {
  const { dIn = 0, dOut = 0 } = sizesOf(description);
  return resolveLayer(name, describe(description), {}, { sizes: { dIn, dOut } });
}

function sizesOf(description: SessionLayer): Sizes {
  switch (description.kind) {
    case "dense":
      return { dIn: description.d_in, dOut: description.d_out };
    case "conv2d":
      return { dIn: description.c_in, dOut: description.c_out };
    case "embedding":
      return { dOut: description.d_out };
    case "scale_and_shift":
      return {};
  }
}

/** The description with the sizes that a resolved layer has. */
function learned(description: SessionLayer, layer: Layer): SessionLayer {
  const known = (size: number) => size > 0 ? size : undefined;
  if (layer instanceof DenseLayer && description.kind === "dense") {
    return { ...description, d_in: known(layer.features), d_out: known(layer.dOut) };
  }
  if (layer instanceof Conv2dLayer && description.kind === "conv2d") {
    const [kh, kw] = layer.kernel;
    const sizes = { c_in: known(layer.channels), c_out: known(layer.filters) };
    return { ...description, ...sizes, kernel_size: [kh, kw] };
  }
  if (layer instanceof EmbeddingLayer && description.kind === "embedding") {
    return { ...description, d_out: known(layer.dOut) };
  }
  return description;
}
