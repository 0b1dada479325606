/**
 * `POST /v1/kronecker-terms`: the Kronecker products nearest to a layer's Fisher block.
 *
 * @module
 */
import { mul, reshape, stack, type Tensor1D } from "@tensorflow/tfjs-core";
import {
  DEFAULT_OPTIONS,
  findCorrectedTerms,
  findLeadingTerm,
  findTermsByDeflation,
  findTermsByLanczos,
  hostSamples,
  type KroneckerTerms,
  type MethodOptions,
  relativeError,
  rootFactors,
  type Samples,
  squaredError,
  type TermFinder,
  termsOnHost,
  traceFactors,
} from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { frobeniusNorm, type LinearAlgebra } from "@/linalg/mod.ts";
import type { Document, KroneckerTermsRequest } from "@/wire/mod.ts";
import { prepareLayer, uploadStatistics, withoutGroups } from "../layers.ts";
import { answerLayers, type CallOptions, documentOf, eachLayer } from "./call.ts";

const FINDERS: Readonly<Record<Exclude<KroneckerTermsRequest["method"], "tkfac">, TermFinder>> = {
  kpsvd: findLeadingTerm,
  deflation: findTermsByDeflation,
  lanczos: findTermsByLanczos,
  kfac_corrected: findCorrectedTerms,
};

export async function kroneckerTerms(
  engine: Engine,
  request: KroneckerTermsRequest,
  { signal }: CallOptions = {},
): Promise<Document> {
  const prepare = (layer: KroneckerTermsRequest["layers"][string], name: string) => ({
    ...prepareLayer(layer, name),
    options: {
      ...DEFAULT_OPTIONS,
      tolerance: request.tolerance ?? DEFAULT_OPTIONS.tolerance,
      maxIterations: request.max_iterations ?? DEFAULT_OPTIONS.maxIterations,
      tkfacLocations: layer.tkfac_locations,
    },
  });
  return documentOf(
    await answerLayers(
      engine,
      request.layers,
      { ...request, signal },
      prepare,
      eachLayer(async (prepared, _name, linalg) => {
        const { examples, gradientScale, fisher } = prepared.batch!;
        const samples = prepared.layer.samples(uploadStatistics(prepared)) as Samples;
        const { terms, iterations } = await find(request.method, samples, prepared.options, linalg);
        const bySide = (side: "A" | "G") => withoutGroups(stack(terms.map((t) => t[side]), 1));
        return {
          tensors: {
            A_terms: bySide("A"),
            G_terms: bySide("G"),
            singular_values: withoutGroups(stack(terms.map(({ sigma }) => sigma), 1)),
          },
          fields: {
            relative_error: await errorOf(terms, samples, engine),
            iterations,
            samples: examples,
            gradient_scale: gradientScale,
            fisher,
          },
        };
      }),
    ),
  );
}

function find(
  method: KroneckerTermsRequest["method"],
  samples: Samples,
  options: MethodOptions,
  linalg: LinearAlgebra,
): Promise<KroneckerTerms> {
  if (method !== "tkfac") return FINDERS[method](samples, options, linalg);
  const { A, G } = rootFactors(traceFactors(samples, options));
  const sigma: Tensor1D = reshape(mul(frobeniusNorm(A), frobeniusNorm(G)), [-1]);
  return Promise.resolve({ terms: [{ A, G, sigma }], iterations: 0 });
}

/** `‖F − Σ G_r ⊗ A_r‖_F/‖F‖_F`, in float64. */
async function errorOf(
  terms: KroneckerTerms["terms"],
  samples: Samples,
  engine: Engine,
): Promise<number> {
  const read = (tensors: Parameters<Engine["read"]>[0]) => engine.read(tensors);
  const blocks = await hostSamples(samples, engine.float64, read);
  const approximations = await termsOnHost(terms, samples.groups, read);
  const norms = blocks.map((block) => block.squaredNorm());
  return relativeError(
    approximations.map((each, i) => squaredError(blocks[i], each, norms[i], engine.float64)),
    norms,
  );
}
