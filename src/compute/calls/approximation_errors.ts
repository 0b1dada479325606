/**
 * `POST /v1/approximation-errors`: how far each method is from a layer's own Fisher block, without forming it.
 *
 * @module
 */
import {
  approximationsOf,
  type Context,
  denseApproximation,
  denseFisher,
  expectKind,
  type HostSamples,
  hostSamples,
  type MethodName,
  relativeError,
  type Samples,
  settleOptions,
  singularValues,
  squaredError,
} from "@/curvature/mod.ts";
import type { Engine } from "@/engine/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { ApproximationErrorsRequest, Document } from "@/wire/mod.ts";
import { type PreparedLayer, prepareLayer, uploadStatistics } from "../layers.ts";
import { answerLayers, type CallOptions, documentOf, eachLayer } from "./call.ts";

/** Largest d_out·d_in of a block whose spectrum is computed: its Fisher is then formed, 8 MiB of float64. */
export const LARGEST_SPECTRUM = 1024;

export async function approximationErrors(
  engine: Engine,
  request: ApproximationErrorsRequest,
  { signal }: CallOptions = {},
): Promise<Document> {
  const { methods, spectrum } = request;
  const prepare = (layer: ApproximationErrorsRequest["layers"][string], name: string) => {
    const prepared = prepareLayer(layer, name);
    for (const method of methods) expectKind(method, prepared.layer);
    return { ...prepared, tkfacLocations: layer.tkfac_locations };
  };
  return documentOf(
    await answerLayers(
      engine,
      request.layers,
      { ...request, signal },
      prepare,
      eachLayer(async (prepared, name, linalg) => {
        const { examples, gradientScale, fisher } = prepared.batch!;
        const contextOf = (method: MethodName): Context => ({
          name,
          linalg,
          options: { ...settleOptions(method, {}), tkfacLocations: prepared.tkfacLocations },
        });
        const measured = await measure(engine, prepared, methods, contextOf, spectrum);
        return {
          tensors: {},
          fields: { ...measured, samples: examples, gradient_scale: gradientScale, fisher },
        };
      }),
    ),
  );
}

/** All methods on one layer. */
async function measure(
  engine: Engine,
  prepared: PreparedLayer,
  methods: readonly MethodName[],
  contextOf: (method: MethodName) => Context,
  spectrum: boolean,
): Promise<Record<string, unknown>> {
  const samples = prepared.layer.samples(uploadStatistics(prepared)) as Samples;
  const { float64 } = engine;
  if (spectrum) expectSmall(samples);
  const blocks = await hostSamples(samples, float64, (tensors) => engine.read(tensors));
  const norms = blocks.map((block) => block.squaredNorm());
  const exact = spectrum ? await spectraOf(blocks, engine) : null;

  const errors: Record<string, number> = {};
  const spectrumErrors: Record<string, number> = {};
  for (const method of methods) {
    const approximations = await approximationsOf(
      method,
      samples,
      contextOf(method),
      (tensors) => engine.read(tensors),
    );
    errors[method] = relativeError(
      approximations.map((each, i) => squaredError(blocks[i], each, norms[i], float64)),
      norms,
    );
    if (exact) {
      const values = await Promise.all(approximations.map((each, i) => {
        const D = samples.dIn * samples.dOut;
        return singularValues(denseApproximation(each, blocks[i], float64), D, float64);
      }));
      spectrumErrors[method] = spectralDistance(values, exact);
    }
  }
  return { errors, ...(spectrum ? { spectrum_errors: spectrumErrors } : {}) };
}

function spectraOf(blocks: readonly HostSamples[], { float64 }: Engine): Promise<Float64Array[]> {
  return Promise.all(
    blocks.map((block) =>
      singularValues(denseFisher(block, float64), block.dIn * block.dOut, float64)
    ),
  );
}

/** `‖sv(F̂) − sv(F)‖₂/‖sv(F)‖₂`, the values of all blocks in descending order. */
function spectralDistance(
  approximate: readonly Float64Array[],
  exact: readonly Float64Array[],
): number {
  const sorted = (spectra: readonly Float64Array[]) =>
    Float64Array.from(spectra.flatMap((values) => [...values])).sort().reverse();
  const [x, y] = [sorted(approximate), sorted(exact)];
  const norm = y.reduce((sum, value) => sum + value * value, 0);
  const distance = x.reduce((sum, value, i) => sum + (value - y[i]) ** 2, 0);
  return norm > 0 ? Math.sqrt(distance / norm) : 0;
}

function expectSmall({ layer, dIn, dOut }: Samples): void {
  const D = dIn * dOut;
  if (D <= LARGEST_SPECTRUM) return;
  throw new CurvdError(
    "too-large-to-fit",
    `Layer "${layer}": a spectrum error forms F, offered up to ${LARGEST_SPECTRUM} parameters; it has ${D}`,
    { layer, value: D, limit: LARGEST_SPECTRUM, suggestion: "spectrum: false" },
  );
}
