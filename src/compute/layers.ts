/**
 * From a layer of a request to a layer of curvature, with the statistics that came for it.
 *
 * @module
 */
import { reshape, type Tensor, type Tensor1D, type Tensor3D } from "@tensorflow/tfjs-core";
import {
  type Layer,
  type LayerDescription,
  resolveLayer,
  type Sizes,
  type Statistics,
} from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import { type Batch, isTensor, type WireTensor } from "@/wire/mod.ts";
import {
  expectFinite,
  expectIds,
  expectMask,
  ingestSymmetric,
  type SymmetricInput,
  upload,
  uploadSymmetric,
} from "./ingest.ts";

/** A description as the schemas of wire/ give it: defaults filled in. */
export interface WireDescription {
  readonly kind: Layer["kind"];
  readonly bias?: boolean;
  readonly layout?: string;
  readonly kernel_size?: readonly [number, number];
  readonly strides?: readonly [number, number];
  readonly padding?: "valid" | "same" | readonly (readonly [number, number])[];
  readonly dilations?: readonly [number, number];
  readonly groups?: number;
  readonly data_format?: "nchw" | "nhwc";
  readonly vocabulary?: number;
  readonly features?: number;
  readonly block?: "diagonal" | "full";
}

/** A layer of a request that has statistics, gradients or factors; its tensors are further fields. */
export type WireLayer = WireDescription & Partial<Batch>;

/** A layer whose tensors were looked at: sizes agree, values are finite. Stays on the host until work begins. */
export interface PreparedLayer {
  readonly layer: Layer;
  /** All tensors that came, by field. */
  readonly tensors: Readonly<Record<string, WireTensor>>;
  /** The symmetric ones among them. */
  readonly symmetric: Readonly<Record<string, SymmetricInput>>;
  /** How the statistics were taken; null where none came. */
  readonly batch: BatchFacts | null;
}

/** What must be known of a batch beside its tensors. */
export interface BatchFacts {
  readonly fisher: Batch["fisher"];
  readonly backprops: number;
  readonly hasBackpropAxis: boolean;
  /** What g is multiplied by. */
  readonly gradientScale: number;
  readonly maskedPlaces: number | null;
  readonly examples: number;
}

const SYMMETRIC_FIELDS = ["A", "G", "A_inv", "G_inv"];

/**
 * Looks at everything a layer sent.
 *
 * @param sizes what is known of it already: a session's layers keep their sizes.
 * @throws CurvdError naming the tensor at fault.
 */
export function prepareLayer(wire: WireLayer, name: string, sizes: Sizes = {}): PreparedLayer {
  const tensors = Object.fromEntries(
    Object.entries(wire).filter((entry): entry is [string, WireTensor] => isTensor(entry[1])),
  );
  const shapes = Object.fromEntries(
    Object.entries(tensors).map(([field, { shape }]) => [field, shape]),
  );
  const hasBackpropAxis = backpropAxis(wire, shapes);
  const layer = resolveLayer(name, describe(wire), shapes, {
    backpropAxis: hasBackpropAxis,
    sizes,
  });

  const symmetric: Record<string, SymmetricInput> = {};
  let maskedPlaces: number | null = null;
  for (const [tensor, value] of Object.entries(tensors)) {
    const place = { layer: name, tensor };
    const isDiagonal = layer.kind === "embedding" && tensor === "A_inv";
    const isBlock = tensor === "F" && wire.block === "full";
    if ((SYMMETRIC_FIELDS.includes(tensor) && !isDiagonal) || isBlock) {
      symmetric[tensor] = ingestSymmetric(value, place);
    } else if (layer.kind === "embedding" && tensor === "inputs") {
      expectIds(value, wire.vocabulary!, place);
    } else {
      expectFinite(value, place);
      if (tensor === "mask") maskedPlaces = expectMask(value, place);
    }
  }
  const batch = tensors.inputs || tensors.output_gradients
    ? batchFacts(wire, name, shapes, hasBackpropAxis, maskedPlaces)
    : null;
  return { layer, tensors, symmetric, batch };
}

/** The statistics as tensors; the caller disposes them. */
export function uploadStatistics({ tensors, batch }: PreparedLayer): Statistics {
  const { inputs, output_gradients, mask } = tensors;
  const { fisher, backprops, hasBackpropAxis, gradientScale, maskedPlaces } = batch!;
  return {
    inputs: inputs && upload(inputs),
    outputGradients: output_gradients && upload(output_gradients),
    mask: mask && { places: upload(mask), real: maskedPlaces! },
    fisher,
    backprops,
    hasBackpropAxis,
    gradientScale,
  };
}

/** A field as a tensor, or undefined; the caller disposes it. */
export function uploadField({ tensors }: PreparedLayer, field: string): Tensor | undefined {
  return tensors[field] && upload(tensors[field]);
}

/** A field with a leading axis of groups, added where the layer has none; the caller disposes it. */
export function uploadStack(
  { tensors, symmetric }: PreparedLayer,
  field: string,
  rank = 3,
): Tensor3D {
  if (symmetric[field]) return uploadSymmetric(symmetric[field]);
  const { data, shape } = tensors[field];
  return upload({
    ...tensors[field],
    data,
    shape: shape.length === rank ? shape : [1, ...shape],
  }) as Tensor3D;
}

/** The gradient as the matrices methods work on; the caller disposes it. */
export function uploadGradient(
  prepared: PreparedLayer,
  field = "gradient",
  biasField = "bias_gradient",
): Tensor3D {
  const gradient = uploadField(prepared, field)!;
  return prepared.layer.toMatrix(
    gradient,
    uploadField(prepared, biasField) as Tensor1D | undefined,
  );
}

/** Where a group axis leads, the answer has it; a layer of one block answers without. */
export function withoutGroups<T extends Tensor>(tensor: T): Tensor {
  return tensor.shape[0] === 1 ? reshape(tensor, tensor.shape.slice(1)) : tensor;
}

/** As {@linkcode withoutGroups}, of a tensor that nobody else needs: its memory is the answer's alone. */
export function takenWithoutGroups(tensor: Tensor): Tensor {
  const taken = withoutGroups(tensor);
  if (taken !== tensor) tensor.dispose();
  return taken;
}

/** A description as curvature has it. */
export function describe(wire: WireLayer): LayerDescription {
  switch (wire.kind) {
    case "dense":
      return {
        kind: "dense",
        bias: wire.bias ?? true,
        layout: wire.layout === "io" ? "io" : "oi",
        sharing: wire.sharing ?? "expand",
      };
    case "conv2d":
      return {
        kind: "conv2d",
        bias: wire.bias ?? true,
        layout: wire.layout === "hwio" ? "hwio" : "oihw",
        dataFormat: wire.data_format ?? "nchw",
        kernelSize: wire.kernel_size ?? null,
        strides: wire.strides ?? [1, 1],
        dilations: wire.dilations ?? [1, 1],
        padding: (wire.padding ?? "valid") as "valid",
        groups: wire.groups ?? 1,
        sharing: wire.sharing ?? "expand",
        activations: wire.activations ?? "full",
      };
    case "embedding":
      return { kind: "embedding", vocabulary: wire.vocabulary! };
    case "scale_and_shift":
      return {
        kind: "scale_and_shift",
        features: wire.features!,
        block: wire.block ?? "diagonal",
      };
  }
}

/** Whether `output_gradients` leads with backprops: one axis more than the inputs explain, or `backprops` says so. */
function backpropAxis(
  { kind, backprops }: WireLayer,
  { inputs, output_gradients: grads }: Record<string, readonly number[]>,
): boolean {
  if (!grads) return false;
  if (!inputs) return backprops !== undefined;
  return grads.length > inputs.length + Number(kind === "embedding");
}

function batchFacts(
  wire: WireLayer,
  name: string,
  { inputs, output_gradients: grads }: Record<string, readonly number[]>,
  hasBackpropAxis: boolean,
  maskedPlaces: number | null,
): BatchFacts {
  const fisher = wire.fisher ?? "empirical";
  const backprops = hasBackpropAxis ? grads[0] : 1;
  if (wire.backprops !== undefined && wire.backprops !== backprops) {
    throw new CurvdError(
      "invalid-tensor",
      `Layer "${name}": backprops is ${wire.backprops}, output_gradients has ${backprops}`,
      { layer: name, tensor: "output_gradients", value: grads, limit: wire.backprops },
    );
  }
  if (backprops > 1 && fisher === "empirical") {
    throw new CurvdError(
      "invalid-request",
      `Layer "${name}": ${backprops} backprops need fisher "sampled" (averaged) or "exact" (summed)`,
      { layer: name, tensor: "output_gradients", value: backprops },
    );
  }
  const examples = inputs?.[0] ?? grads[Number(hasBackpropAxis)];
  const scale = wire.gradient_scale ?? "example";
  return {
    fisher,
    backprops,
    hasBackpropAxis,
    gradientScale: scale === "example" ? 1 : scale === "mean" ? examples : scale,
    maskedPlaces,
    examples,
  };
}
