/**
 * Layers as a session describes them: made of their sizes alone, and the sizes that a request told.
 *
 * @module
 */
import {
  Conv2dLayer,
  DenseLayer,
  EmbeddingLayer,
  type Layer,
  resolveLayer,
  type Sizes,
} from "@/curvature/mod.ts";
import type { SessionLayer } from "@/wire/mod.ts";
import { describe } from "./layers.ts";

/** A layer by its description alone, with the sizes known. */
export function layerOfDescription(name: string, description: SessionLayer): Layer {
  const { dIn = 0, dOut = 0 } = sizesOf(description);
  return resolveLayer(name, describe(description), {}, { sizes: { dIn, dOut } });
}

/** The sizes that a description states. */
export function sizesOf(description: SessionLayer): Sizes {
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
export function learned(description: SessionLayer, layer: Layer): SessionLayer {
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
