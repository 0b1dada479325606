/**
 * Updates of gradients by the preconditioner that a session has.
 *
 * @module
 */
import type { Tensor1D, Tensor3D } from "@tensorflow/tfjs-core";
import {
  applyForms,
  type Layer,
  type LinkForms,
  type NamedTensors,
  type Samples,
  solveChain,
  solveTwoLevel,
} from "@/curvature/mod.ts";
import { CurvdError } from "@/errors.ts";
import type { BatchWords } from "./state.ts";
import type { Layers, Work } from "./observation.ts";

/** Updates of gradients, by the forms of their layers. */
export async function precondition(
  layers: Layers,
  gradients: ReadonlyMap<string, Tensor3D>,
  layerOf: (name: string) => Layer,
  { method, options, linalg }: Pick<Work, "method" | "options" | "linalg">,
): Promise<Map<string, Tensor3D>> {
  if (method === "kfac_tridiagonal" || method === "kfac_two_level") {
    const names = [...layers.keys()];
    const V = names.map((name) => {
      const gradient = gradients.get(name);
      if (gradient) return gradient;
      throw new CurvdError("invalid-request", `Layer "${name}": ${method} needs all gradients`, {
        layer: name,
        tensor: "gradient",
      });
    });
    const forms = names.map((name) => layers.get(name)!.forms);
    const updates = method === "kfac_tridiagonal"
      ? solveChain(forms as unknown as LinkForms[], V)
      : await solveTwoLevel(
        names.map((name) => {
          const layer = layerOf(name);
          return { layer, samples: samplesOfRaw(layer, layers.get(name)!.rawOfForms!) };
        }),
        forms as unknown as Parameters<typeof solveTwoLevel>[1],
        V,
        { name: "", linalg, options },
      );
    return new Map(names.map((name, l) => [name, updates[l]]));
  }
  return new Map(
    [...gradients].map(([name, V]) => {
      const { forms } = layers.get(name)!;
      const isUnknown = Object.keys(forms).length === 0; // answered as it is, where that was asked for
      return [name, isUnknown ? V.clone() : applyForms(forms, layerOf(name), options, V)];
    }),
  );
}

/** A raw batch that was kept. */
export function samplesOfRaw(
  layer: Layer,
  { batch, words }: { batch: NamedTensors; words: BatchWords },
): Samples {
  const { inputs, output_gradients, mask } = batch;
  return layer.samples({
    inputs,
    outputGradients: output_gradients,
    mask: mask && { places: mask as Tensor1D, real: words.maskedPlaces! },
    ...words,
  }) as Samples;
}
