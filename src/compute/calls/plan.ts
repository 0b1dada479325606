/**
 * `POST /v1/plan`: what a method will cost on a model, before any data moves.
 *
 * @module
 */
import {
  type Cost,
  costOf,
  expectKindOf,
  heldBytes,
  type LayerSize,
  outputImage,
  samePadding,
  type StageFlops,
  totalFlops,
  workingBytes,
} from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { Document, PlanRequest } from "@/wire/mod.ts";
import { ratesOf } from "../calibration.ts";

/** What a layer will take. */
interface Planned extends Cost {
  readonly heldBytes: number;
  readonly workingBytes: number;
}

type Stage = "statistics" | "refresh" | "update";
const STAGES: readonly Stage[] = ["statistics", "refresh", "update"];

export async function plan(engine: Engine, request: PlanRequest): Promise<Document> {
  const started = performance.now();
  const { method, n } = request;
  const sizes = Object.entries(request.layers).map(([name, layer]) => {
    if (method !== "shampoo" && method !== "soap") expectKindOf(method, layer.kind, name);
    return [name, sizeOf(name, layer)] as const;
  });
  const each = sizes.map(([, size]) => size);
  const held = heldBytes(method, each, n), working = workingBytes(method, each, n);
  const costs = sizes.map(([name, size], l) =>
    [name, {
      ...costOf(method, size, n),
      heldBytes: held[l],
      workingBytes: working[l],
    }] as const
  );
  const rates = await ratesOf(engine);
  const sum = (of: (cost: Planned) => number) => costs.reduce((x, [, cost]) => x + of(cost), 0);
  const flopsOf = (cost: Cost) =>
    Object.fromEntries(STAGES.map((stage) => [stage, totalFlops(cost[stage])]));
  const millisecondsOf = (stage: StageFlops) =>
    (Object.keys(rates) as (keyof StageFlops)[]).reduce(
      (ms, kind) => ms + stage[kind] / rates[kind],
      0,
    );
  const bytesOf = (of: (read: (cost: Planned) => number) => number) => ({
    session: of((cost) => cost.heldBytes),
    device: of((cost) => cost.workingBytes),
    wire: of((cost) => cost.wireBytes),
  });
  const compute = performance.now() - started;
  return {
    layers: Object.fromEntries(
      costs.map(([name, cost]) => [name, {
        bytes: bytesOf((read) => read(cost)),
        flops: flopsOf(cost),
      }]),
    ),
    bytes: bytesOf(sum),
    flops: Object.fromEntries(STAGES.map((stage) => [stage, sum((c) => totalFlops(c[stage]))])),
    estimated_ms: Object.fromEntries(
      STAGES.map((stage) => [stage, sum((c) => millisecondsOf(c[stage]))]),
    ),
    fits: costs.every(([, cost]) => cost.fits && fitsDevice(cost, engine)),
    timing: { wait_ms: 0, compute_ms: compute, read_ms: 0, total_ms: compute },
    warnings: [],
  };
}

/** No tensor of a layer may be larger than a binding of the device. */
function fitsDevice({ heldBytes }: Planned, engine: Engine): boolean {
  const { maxBufferSize } = engine.facts.limits;
  return maxBufferSize === undefined || heldBytes <= maxBufferSize;
}

function sizeOf(name: string, layer: PlanRequest["layers"][string]): LayerSize {
  switch (layer.kind) {
    case "dense":
      return {
        kind: "dense",
        groups: 1,
        dIn: layer.d_in + Number(layer.bias),
        dOut: layer.d_out,
        hasBias: layer.bias,
        locations: 1,
        taps: 1,
        inputValues: layer.d_in,
        outputValues: layer.d_out,
      };
    case "conv2d": {
      const { kernel_size: kernel, strides, dilations, groups, image } = layer;
      if (!kernel) {
        throw new CurvdError("invalid-request", `Layer "${name}": nothing tells its kernel_size`, {
          layer: name,
          suggestion: "state kernel_size",
        });
      }
      const padding = layer.padding === "valid"
        ? [[0, 0], [0, 0]] as const
        : layer.padding === "same"
        ? samePadding(image, kernel, strides, dilations)
        : layer.padding;
      const output = outputImage({ image, kernel, strides, dilations, padding });
      const taps = kernel[0] * kernel[1];
      return {
        kind: "conv2d",
        groups,
        dIn: layer.c_in / groups * taps + Number(layer.bias),
        dOut: layer.c_out / groups,
        hasBias: layer.bias,
        locations: output[0] * output[1],
        taps,
        inputValues: layer.c_in * image[0] * image[1],
        outputValues: layer.c_out * output[0] * output[1],
      };
    }
    case "embedding":
      return {
        kind: "embedding",
        groups: 1,
        dIn: layer.vocabulary,
        dOut: layer.d_out,
        hasBias: false,
        locations: 1,
        taps: 1,
        inputValues: 1,
        outputValues: layer.d_out,
      };
    case "scale_and_shift":
      return {
        kind: "scale_and_shift",
        groups: 1,
        dIn: 2 * layer.features,
        dOut: 1,
        hasBias: false,
        isDiagonal: layer.block === "diagonal",
        locations: 1,
        taps: 1,
        inputValues: layer.features,
        outputValues: layer.features,
      };
  }
}
