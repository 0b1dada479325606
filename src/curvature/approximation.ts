/**
 * What each method approximates a layer's Fisher block by, undamped, brought to the host for measuring.
 *
 * @module
 */
import { expandDims, eye, type Tensor, type Tensor3D, tile } from "@tensorflow/tfjs-core";
import { CurvdError } from "@/errors.ts";
import type { BlockSet, HostApproximation } from "./approximation_error.ts";
import { eigenbasisOf } from "./eigenbasis.ts";
import type { Read } from "./host_samples.ts";
import { kroneckerFactors } from "./kfac.ts";
import {
  findCorrectedTerms,
  findLeadingTerm,
  findTermsByDeflation,
  findTermsByLanczos,
  type TermFinder,
} from "./kpsvd.ts";
import { miniBlocks } from "./mbf.ts";
import type { Context } from "./method.ts";
import type { MethodName } from "./registry.ts";
import type { Filters, Samples } from "./samples.ts";
import { rootFactors, traceFactors } from "./tkfac.ts";

/** Methods that approximate one layer's block; the coupled ones approximate a model's. */
const TERM_FINDERS: Partial<Record<MethodName, TermFinder>> = {
  kpsvd: findLeadingTerm,
  deflation: findTermsByDeflation,
  lanczos: findTermsByLanczos,
  kfac_corrected: findCorrectedTerms,
};

/**
 * The approximation of each block of a layer.
 *
 * Leaves its tensors to the scope of the work it is part of.
 *
 * @throws CurvdError `unsupported` for methods that couple layers.
 */
export async function approximationsOf(
  method: MethodName,
  samples: Samples,
  context: Context,
  read: Read,
): Promise<HostApproximation[]> {
  const find = TERM_FINDERS[method];
  if (find) {
    const { terms } = await find(samples, context.options, context.linalg);
    return await termsOnHost(terms, samples.groups, read);
  }
  switch (method) {
    case "kfac":
      return await termsOnHost([kroneckerFactors(samples)], samples.groups, read);
    case "tkfac":
      return await termsOnHost(
        [rootFactors(traceFactors(samples, context.options))],
        samples.groups,
        read,
      );
    case "foof": {
      const G: Tensor3D = tile(expandDims<Tensor3D>(eye(samples.dOut), 0), [samples.groups, 1, 1]);
      return await termsOnHost([{ A: samples.inputFactor(), G }], samples.groups, read);
    }
    case "ekfac":
      return await spectralOnHost(kroneckerFactors(samples), samples, context, read);
    case "tekfac": {
      const { deltaPhi: A, deltaPsi: G } = traceFactors(samples, context.options);
      return await spectralOnHost({ A, G }, samples, context, read);
    }
    case "mbf":
      return await blocksOnHost(samples, context, read);
    default:
      throw new CurvdError(
        "unsupported",
        `${method} approximates a whole model's Fisher, not one layer's: it has no error here`,
        { layer: samples.layer, value: method },
      );
  }
}

/** Terms `[b, d, d]` as approximations, one a block. */
export async function termsOnHost(
  terms: readonly { readonly A: Tensor; readonly G: Tensor }[],
  groups: number,
  read: Read,
): Promise<HostApproximation[]> {
  const arrays = await read(terms.flatMap(({ A, G }) => [A, G]));
  return Array.from({ length: groups }, (_, block) => ({
    kind: "terms",
    terms: terms.map((_, k) => ({
      A: part(arrays[2 * k], block, groups),
      G: part(arrays[2 * k + 1], block, groups),
    })),
  }));
}

async function spectralOnHost(
  factors: { A: Tensor3D; G: Tensor3D },
  samples: Samples,
  { name, linalg }: Context,
  read: Read,
): Promise<HostApproximation[]> {
  const { Q_A, Q_G } = await eigenbasisOf(linalg, name, factors);
  const arrays = await read([Q_A, Q_G, samples.secondMoments(Q_A, Q_G)]);
  const { groups } = samples;
  return Array.from({ length: groups }, (_, block) => ({
    kind: "spectral",
    Q_A: part(arrays[0], block, groups),
    Q_G: part(arrays[1], block, groups),
    S: part(arrays[2], block, groups),
  }));
}

/** Filters of a convolution, from the device; a dense layer's neurons are F's own blocks. */
async function blocksOnHost(
  samples: Samples,
  { options }: Context,
  read: Read,
): Promise<HostApproximation[]> {
  const { groups, dIn, filters } = samples;
  if (!filters) return Array.from({ length: groups }, () => ({ kind: "neurons" }));
  const { M, biasMoments } = miniBlocks(samples, options);
  const [blocks, biases] = await read(biasMoments ? [M, biasMoments] : [M]);
  const channels = (dIn - Number(filters.bias)) / filters.taps;
  const weights = (block: number): BlockSet => ({
    M: part(blocks, block, groups),
    d: filters.taps,
    indices: (k) => {
      const row = Math.floor(k / channels) * dIn;
      return Array.from(
        { length: filters.taps },
        (_, tap) => row + featureOf(k % channels, tap, channels, filters),
      );
    },
  });
  const bias = (block: number): BlockSet => ({
    M: part(biases, block, groups),
    d: 1,
    indices: (k) => [k * dIn + dIn - 1],
  });
  return Array.from({ length: groups }, (_, block) => ({
    kind: "blocks",
    sets: biases ? [weights(block), bias(block)] : [weights(block)],
  }));
}

/** Where a channel's tap stands in a row of features. */
function featureOf(channel: number, tap: number, channels: number, filters: Filters): number {
  return filters.order === "chw" ? channel * filters.taps + tap : tap * channels + channel;
}

function part(all: Float32Array, block: number, groups: number): Float64Array {
  const size = all.length / groups;
  return Float64Array.from(all.subarray(block * size, (block + 1) * size));
}
