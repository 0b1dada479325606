/**
 * The cells of the table method × kind of layer, as requests.
 *
 * A coupled method gets a model of two layers of its kind, any other one layer. Updates are compared as one vector, in the order
 * of `[d_out, d_in]` matrices of the first layout.
 *
 * @module
 */
import { type MethodName, METHODS } from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import type { Document, WireTensor } from "@/wire/mod.ts";
import { call, numbers, type Request, type RequestLayer, wire } from "../support/calls.ts";
import type { Dense } from "../support/dense.ts";
import { matricesOf } from "../support/dense_fisher.ts";
import {
  convLayer,
  denseLayer,
  embeddingLayer,
  scaleAndShiftLayer,
} from "../support/layer_cases.ts";

/** Which cells a suite tries; a software adapter is too slow for all. */
export type Choice = (cell: Cell) => boolean;

/** How a layer is built from a seed. */
export const KINDS: Record<string, (seed: number) => RequestLayer> = {
  "dense": (seed) => denseLayer({ n: 8, dIn: 4, dOut: 3, seed }),
  "dense sequence": (seed) => denseLayer({ n: 8, s: 3, dIn: 3, dOut: 2, seed }),
  "conv2d": (seed) =>
    convLayer({ n: 8, channels: 2, filters: 4, image: [3, 4], kernel: [2, 2], groups: 2, seed }),
  "embedding": (seed) => embeddingLayer({ n: 8, vocabulary: 5, dOut: 3, seed }),
  "scale_and_shift": (seed) => scaleAndShiftLayer({ n: 8, s: 2, features: 3, block: "full", seed }),
};

/** What a method does not take although it takes the kind of layer, with the reason. */
export const DEVIATIONS: Partial<Record<MethodName, Record<string, string>>> = {
  kfac_tridiagonal: { "dense sequence": "cross factors of different places have no meaning" },
};

export interface Cell {
  readonly method: MethodName;
  readonly kind: string;
  readonly isOffered: boolean;
  readonly request: Request;
}

export const LAMBDA = 0.2;

/** Every cell. */
export function cells(): Cell[] {
  return (Object.keys(METHODS) as MethodName[]).flatMap((method) =>
    Object.keys(KINDS).map((kind) => ({
      method,
      kind,
      isOffered: (METHODS[method].layers as readonly string[]).includes(kind.split(" ")[0]) &&
        !(kind in (DEVIATIONS[method] ?? {})),
      request: requestOf(method, kind),
    }))
  );
}

function requestOf(method: MethodName, kind: string): Request {
  const of = KINDS[kind];
  const layers: Request["layers"] = METHODS[method].isCoupled
    ? { first: of(401), second: of(411) }
    : { l: of(401) };
  return { method, damping: LAMBDA, layers };
}

/** A request with each of its layers changed, and perhaps parameters. */
export function changed(
  request: Request,
  change: (layer: RequestLayer, at: number) => RequestLayer,
  parameters: Record<string, unknown> = {},
): Request {
  const layers = Object.fromEntries(
    Object.entries(request.layers).map(([name, layer], at) => [name, change(layer, at)]),
  );
  return { ...request, ...parameters, layers };
}

/** The updates of all layers, as one vector a damping. */
export function updatesIn(request: Request, answer: Document): Dense[] {
  const { damping } = request;
  const m = Array.isArray(damping) ? damping.length : 1;
  return Array.from({ length: m }, (_, at) =>
    Float64Array.from(
      Object.entries(request.layers).flatMap(([name, layer]) => {
        const { update, bias_update: bias } = answer.layers![name];
        const part = (all: unknown) => {
          const values = numbers(all), size = values.length / m;
          return values.slice(at * size, (at + 1) * size);
        };
        return matricesOf(layer, part(update), bias === undefined ? undefined : part(bias))
          .flatMap((block) => [...block]);
      }),
    ));
}

/** The update of a request of one damping. */
export async function update(engine: Engine, request: Request): Promise<Dense> {
  const [vector] = updatesIn(request, await call(engine, "updates", request));
  return vector;
}

/** A tensor with its values changed. */
export function mapped(
  tensor: unknown,
  change: (value: number, at: number) => number,
): WireTensor {
  const { shape, data } = tensor as WireTensor;
  return wire(shape, Array.from(data, change));
}

/** A layer with its gradient, and its bias's, changed. */
export function withGradient(
  layer: RequestLayer,
  change: (value: number, at: number, field: string) => number,
): RequestLayer {
  const fields = ["gradient", "bias_gradient"].filter((field) => layer[field]);
  return {
    ...layer,
    ...Object.fromEntries(
      fields.map((field) => [field, mapped(layer[field], (value, at) => change(value, at, field))]),
    ),
  };
}

/** A tensor with its examples taken in another order, or some of them twice; the axis is 0, or 1 after backprops. */
export function taking(tensor: unknown, examples: readonly number[], axis = 0): WireTensor {
  const { dtype, shape, data } = tensor as WireTensor;
  const outer = shape.slice(0, axis).reduce((x, y) => x * y, 1);
  const size = data.length / (outer * shape[axis]);
  const values = Array.from({ length: outer }, (_, k) =>
    examples.flatMap((i) => {
      const from = (k * shape[axis] + i) * size;
      return [...data.subarray(from, from + size)];
    })).flat();
  const taken = [...shape.slice(0, axis), examples.length, ...shape.slice(axis + 1)];
  return dtype === "I32"
    ? { dtype, shape: taken, data: Int32Array.from(values) }
    : wire(taken, values);
}

/** The other layout of a layer that has two: the same weights, other places. */
export function otherLayout(layer: RequestLayer): RequestLayer | null {
  switch (layer.kind) {
    case "dense":
      return { ...layer, layout: "io", gradient: permuted(layer.gradient, [1, 0]) };
    case "conv2d":
      return { ...layer, layout: "hwio", gradient: permuted(layer.gradient, [2, 3, 1, 0]) };
  }
  return null;
}

/** Axes of a tensor in another order. */
export function permuted(tensor: unknown, order: readonly number[]): WireTensor {
  const { shape, data } = tensor as WireTensor;
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((x, y) => x * y, 1));
  const sides = order.map((axis) => shape[axis]);
  const values = Array.from({ length: data.length }, (_, at) => {
    let rest = at, from = 0;
    for (let k = sides.length - 1; k >= 0; k--) {
      from += (rest % sides[k]) * strides[order[k]];
      rest = Math.floor(rest / sides[k]);
    }
    return data[from];
  });
  return wire(sides, values);
}
