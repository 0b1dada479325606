/**
 * The anatomy of a document: where its tensors are, how they are named, what no name may be.
 *
 * @module
 */
import { CurvdError } from "@/errors.ts";
import { type Document, isTensor, type WireTensor } from "./tensor.ts";

/** Every tensor of a document: the fields of its layers, then its own. */
export function tensorsOf(document: Document): WireTensor[] {
  const layers = Object.values(document.layers ?? {}).flatMap((layer) => Object.values(layer));
  return [...layers, ...Object.values(document)].filter(isTensor);
}

/** The buffers beneath a document's tensors, each once: what `postMessage` is to transfer. */
export function buffersOf(document: Document): ArrayBuffer[] {
  return [...new Set(tensorsOf(document).map(({ data }) => data.buffer))];
}

/** Frees the memory of a document's tensors, where it is still here: nobody may read them any more. */
export function freeTensors(document: Document): void {
  for (const buffer of buffersOf(document)) if (!buffer.detached) buffer.transfer(0);
}

/**
 * A copy of the document with each tensor replaced; other leaves are shared.
 *
 * @param replace gives a tensor's stand-in; `layer` is absent for a tensor of no layer.
 */
export function mapTensors(
  document: Document,
  replace: (tensor: WireTensor, field: string, layer?: string) => unknown,
): Document {
  const mapFields = (fields: Record<string, unknown>, layer?: string) =>
    Object.fromEntries(
      Object.entries(fields).map(([field, leaf]) => {
        if (!isTensor(leaf)) return [field, leaf];
        return [field, locating(layer, field, () => replace(leaf, field, layer))];
      }),
    );
  if (document.layers === undefined) return mapFields(document);
  const layers = Object.entries(document.layers)
    .map(([name, fields]) => [name, mapFields(fields, name)] as const);
  return { ...mapFields(document), layers: Object.fromEntries(layers) };
}

/** Runs `work`, adding to its errors the layer and tensor they are about. */
export function locating<T>(layer: string | undefined, tensor: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof CurvdError)) throw error;
    const named = new CurvdError(error.code, `${tensor}: ${error.message}`, error.facts);
    throw named.with(layer === undefined ? { tensor } : { layer, tensor });
  }
}

/** Name of a tensor in a safetensors file. */
export function joinName(layer: string | undefined, field: string): string {
  return layer === undefined ? field : `${layer}.${field}`;
}

/** The layer and field of such a name: split at the last dot, as torch's names have dots too. */
export function splitName(name: string): { layer?: string; field: string } {
  const dot = name.lastIndexOf(".");
  return dot < 0 ? { field: name } : { layer: name.slice(0, dot), field: name.slice(dot + 1) };
}

/** An RFC 6901 pointer. */
export function pointerTo(...path: readonly (string | number)[]): string {
  return path.map((step) => `/${String(step).replaceAll("~", "~0").replaceAll("/", "~1")}`).join(
    "",
  );
}

/** Whether a leaf is an object of fields: no array, no tensor. */
export function isRecord(leaf: unknown): leaf is Record<string, unknown> {
  return typeof leaf === "object" && leaf !== null && !Array.isArray(leaf) && !isTensor(leaf);
}

/**
 * Refuses the one name that assignment takes for something else.
 *
 * @throws CurvdError `invalid-request`.
 */
export function refuseProto(name: string, pointer: string): void {
  if (name !== "__proto__") return;
  throw new CurvdError("invalid-request", 'The name "__proto__" is refused', {
    pointer,
    value: name,
    suggestion: "rename it",
  });
}
