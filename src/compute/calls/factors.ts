/**
 * `POST /v1/factors`: the Kronecker factors of one batch.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import {
  EmbeddingSamples,
  type Samples,
  ScaleAndShiftLayer,
  TangentSamples,
} from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import type { Document, FactorsRequest } from "@/wire/mod.ts";
import { type PreparedLayer, prepareLayer, uploadStatistics, withoutGroups } from "../layers.ts";
import { answerLayers, type CallOptions, documentOf, eachLayer } from "./call.ts";

export async function factors(
  engine: Engine,
  request: FactorsRequest,
  { signal }: CallOptions = {},
): Promise<Document> {
  return documentOf(
    await answerLayers(
      engine,
      request.layers,
      { ...request, signal },
      (layer, name) => prepareLayer(layer, name),
      eachLayer((prepared) => {
        const { gradientScale, fisher, examples } = prepared.batch!;
        return Promise.resolve({
          tensors: factorsOf(prepared),
          fields: { samples: examples, gradient_scale: gradientScale, fisher },
        });
      }),
    ),
  );
}

/** A and G, or what stands for them in layers without Kronecker factors. */
function factorsOf(prepared: PreparedLayer): Record<string, Tensor> {
  const { layer, tensors } = prepared;
  const samples = layer.samples(uploadStatistics(prepared));
  if (samples instanceof TangentSamples) {
    const { block } = (layer as ScaleAndShiftLayer).description;
    return {
      F: block === "full" ? withoutGroups(samples.fisher()) : samples.fisherDiagonal(),
    };
  }
  const factors: Record<string, Tensor> = {};
  if (samples instanceof EmbeddingSamples) {
    if (tensors.inputs) factors.A_diagonal = samples.frequencies();
    if (tensors.output_gradients) factors.G = withoutGroups(samples.gradFactor());
    return factors;
  }
  const kronecker = samples as Samples;
  if (tensors.inputs) factors.A = withoutGroups(kronecker.inputFactor());
  if (tensors.output_gradients) factors.G = withoutGroups(kronecker.gradFactor());
  return factors;
}
