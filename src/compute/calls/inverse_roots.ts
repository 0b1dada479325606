/**
 * `POST /v1/inverse-roots`: `(M + λI)^(−1/p)` of symmetric positive matrices.
 *
 * @module
 */
import { stack } from "@tensorflow/tfjs-core";
import type { Engine } from "@/engine/mod.ts";
import type { Document, InverseRootsRequest } from "@/wire/mod.ts";
import { ingestSymmetric, uploadSymmetric } from "../ingest.ts";
import { takenWithoutGroups, withoutGroups } from "../layers.ts";
import { answerLayers, type CallOptions, documentOf, eachLayer } from "./call.ts";

export async function inverseRoots(
  engine: Engine,
  request: InverseRootsRequest,
  options: CallOptions = {},
): Promise<Document> {
  const { power: root, damping } = request;
  const dampings = [damping].flat();
  return documentOf(
    await answerLayers(
      engine,
      request.layers,
      { ...request, ...options },
      ({ M }, name, unpacked) => ingestSymmetric(M, { layer: name, tensor: "M" }, unpacked),
      eachLayer(async (input, name, linalg) => {
        const matrix = uploadSymmetric(input);
        const results = await linalg.inverseRoot(
          dampings.map((shift) => ({
            name: `${name}.M`,
            matrix,
            shift,
            root,
            negativeTolerance: input.tolerances,
          })),
        );
        const roots = results.map(({ root }) => root);
        return {
          tensors: {
            M_root: Array.isArray(damping)
              ? stack(roots.map(withoutGroups))
              : takenWithoutGroups(roots[0]),
          },
          reports: { M: results[0].reports },
        };
      }),
    ),
  );
}
