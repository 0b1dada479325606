/**
 * What a method keeps of a model on the device: bytes between the calls, and at most while a step works.
 *
 * What is kept follows from the methods' averages and forms, value by value. What a step needs besides is its batch, its
 * gradients on their way to updates, the batch's own averages and the next state beside the last; how often each of these is
 * there at once was counted on the cpu engine.
 *
 * @module
 */
import { type LayerSize, pairInPlaces } from "./cost.ts";
import { lanczosValues } from "./pairs/lanczos_in_places.ts";
import type { MethodName } from "./registry.ts";

type AnyMethod = MethodName | "shampoo" | "soap";

const FLOAT_BYTES = 4;

/** Bytes that each layer of a model takes between the calls of a session, once refreshed; n examples a batch. */
export function heldBytes(method: AnyMethod, layers: readonly LayerSize[], n: number): number[] {
  return layers.map((layer, l) => FLOAT_BYTES * heldValues(method, layer, layers[l + 1], n));
}

/** Bytes that each layer takes at most while a step works that refreshes, those that are kept included. */
export function workingBytes(method: AnyMethod, layers: readonly LayerSize[], n: number): number[] {
  return layers.map((layer, l) => {
    const held = heldValues(method, layer, layers[l + 1], n);
    const isOfGradients = method === "shampoo" || method === "soap";
    const raw = isOfGradients ? 0 : n * (layer.inputValues + layer.outputValues);
    const { averages, gradients, batches } = workOf(method, layer, n);
    return FLOAT_BYTES *
        (held + averages * averagedValues(method, layer) + gradients * gradientValues(layer) +
          batches * raw) + placesBytes(method, layer, n);
  });
}

interface Work {
  readonly averages: number;
  readonly gradients: number;
  readonly batches: number;
}

/**
 * How often the averages, the gradient and the batch of a layer are there at once in a step, beside what is kept. A batch in
 * an eigenbasis is there once more of a dense layer, not of a convolution.
 */
const WORK: Readonly<Record<AnyMethod, Work>> = {
  kfac: { averages: 4, gradients: 6, batches: 2 },
  foof: { averages: 4, gradients: 6, batches: 2 },
  ekfac: { averages: 4, gradients: 8, batches: 2.5 },
  tkfac: { averages: 5, gradients: 6, batches: 2 },
  tekfac: { averages: 4, gradients: 8, batches: 2.5 },
  kpsvd: { averages: 3, gradients: 6, batches: 2 },
  deflation: { averages: 4, gradients: 6, batches: 2 },
  lanczos: { averages: 4, gradients: 6, batches: 2 },
  kfac_corrected: { averages: 4, gradients: 6, batches: 2 },
  kfac_tridiagonal: { averages: 4, gradients: 6, batches: 2 },
  kfac_two_level: { averages: 4, gradients: 8, batches: 6 },
  mbf: { averages: 4, gradients: 6, batches: 2 },
  shampoo: { averages: 2, gradients: 6, batches: 0 },
  soap: { averages: 2, gradients: 7, batches: 0 },
};

/** Lanczos holds its vectors as matrices where neither samples nor places are coordinates. */
const LANCZOS_BY_PRODUCTS: Work = { averages: 9, gradients: 6, batches: 2 };

function workOf(method: AnyMethod, layer: LayerSize, n: number): Work {
  const isByProducts = layer.locations > 1 && !pairInPlaces(layer, n).pays;
  return method === "lanczos" && isByProducts ? LANCZOS_BY_PRODUCTS : WORK[method];
}

/** What a search for pairs keeps of a batch while it lasts, where it works in the coordinates of places. */
function placesBytes(method: AnyMethod, layer: LayerSize, n: number): number {
  if (!["kpsvd", "deflation", "lanczos", "kfac_corrected"].includes(method)) return 0;
  if (layer.kind !== "dense" && layer.kind !== "conv2d") return 0;
  const { pays, bytes } = pairInPlaces(layer, n);
  if (!pays) return 0;
  const isByLanczos = method === "lanczos" || method === "kfac_corrected";
  return bytes + (isByLanczos ? FLOAT_BYTES * lanczosValues(layer, n) : 0);
}

function heldValues(
  method: AnyMethod,
  layer: LayerSize,
  next: LayerSize | undefined,
  n: number,
): number {
  const averages = averagedValues(method, layer);
  if (layer.kind === "scale_and_shift") return 2 * averages; // F and its inverse, or F of the last refresh
  const { groups: b, dIn, dOut } = layer;
  switch (method) {
    case "ekfac":
    case "tekfac":
      return 2 * averages + gradientValues(layer); // S
    case "deflation":
    case "lanczos":
    case "kfac_corrected":
      return 3 * averages + b * (dIn + dOut); // two terms, and the pencils of both
    case "kfac_tridiagonal": {
      const cross = next ? dIn * next.dIn + dOut * next.dOut : 0;
      return 2 * (averages + cross) + (next ? dIn + dOut : 0);
    }
    case "kfac_two_level": // the factors at the refresh, and two batches: the last, and the one that was refreshed
      return 3 * averages + 2 * n * (layer.inputValues + layer.outputValues);
    case "soap":
      return 2 * averages + 2 * gradientValues(layer); // M and V
    default:
      return 2 * averages;
  }
}

/** Values of one running average of a layer: its factors, or what the method has in their place. */
function averagedValues(method: AnyMethod, layer: LayerSize): number {
  const { kind, groups: b, dIn, dOut, taps, hasBias } = layer;
  if (kind === "scale_and_shift") return layer.isDiagonal ? dIn : dIn ** 2;
  if (kind === "embedding") return dIn + (method === "foof" ? 0 : dOut ** 2);
  if (method === "foof") return b * dIn ** 2;
  if (method === "mbf") {
    const weights = dIn - Number(hasBias);
    return kind === "conv2d" ? b * dOut * (weights * taps + Number(hasBias)) : dOut * dIn ** 2;
  }
  return b * (dIn ** 2 + dOut ** 2);
}

function gradientValues({ groups, dIn, dOut }: LayerSize): number {
  return groups * dIn * dOut;
}
