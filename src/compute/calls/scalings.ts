/**
 * `POST /v1/scalings`: EKFAC's second moments in a basis the client has.
 *
 * @module
 */
import { add, mul } from "@tensorflow/tfjs-core";
import type { Samples } from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import type { Document, ScalingsRequest } from "@/wire/mod.ts";
import { prepareLayer, uploadStack, uploadStatistics, withoutGroups } from "../layers.ts";
import { answerLayers, type CallOptions, documentOf, eachLayer } from "./call.ts";

export async function scalings(
  engine: Engine,
  request: ScalingsRequest,
  { signal }: CallOptions = {},
): Promise<Document> {
  const { decay } = request;
  return documentOf(
    await answerLayers(
      engine,
      request.layers,
      { ...request, signal },
      (layer, name) => prepareLayer(layer, name),
      eachLayer((prepared) => {
        const { examples, gradientScale, fisher } = prepared.batch!;
        const samples = prepared.layer.samples(uploadStatistics(prepared)) as Samples;
        const S = samples.secondMoments(uploadStack(prepared, "Q_A"), uploadStack(prepared, "Q_G"));
        const averaged = prepared.tensors.S && decay !== undefined
          ? add(mul(uploadStack(prepared, "S"), decay), mul(S, 1 - decay))
          : S;
        return Promise.resolve({
          tensors: { S: withoutGroups(averaged) },
          fields: { samples: examples, gradient_scale: gradientScale, fisher },
        });
      }),
    ),
  );
}
