/**
 * From a request's layers to what the session's method takes: observations and gradients on the device.
 *
 * @module
 */
import type { Tensor, Tensor3D } from "@tensorflow/tfjs-core";
import { meanGradient, type NamedTensors, type Samples } from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { Gradient, Identity, Observation, Tolerances } from "@/sessions/mod.ts";
import { upload } from "./ingest.ts";
import {
  type PreparedLayer,
  uploadField,
  uploadGradient,
  uploadStack,
  uploadStatistics,
} from "./layers.ts";
import type { SessionInput } from "./session_inputs.ts";
import type { Remains } from "./session_log.ts";

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
    const samples = layer.samples(statistics);
    return {
      layer,
      batch: {
        kind: "samples",
        samples,
        gradients: () => layer.gradients(statistics, samples),
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
  const { gradients } = observation!.batch as Observation["batch"] & { kind: "samples" };
  return { V: meanGradient(gradients() as Samples) as Tensor3D, examples };
}
