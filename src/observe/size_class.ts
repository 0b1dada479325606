/** Sizes of requests in classes, so that their times can be told apart. @module */

/** As much of a document as the class depends on. */
interface Sized {
  readonly layers?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Sides above this are one class: there is no end of labels otherwise. */
const LARGEST = 8192;

/** The largest side of a request's tensors, to the next power of two; "0" where it has none. */
export function sizeClassOf({ layers = {} }: Sized): string {
  let side = 0;
  for (const layer of Object.values(layers)) {
    for (const leaf of Object.values(layer)) {
      const shape = (leaf as { shape?: readonly number[] } | null)?.shape;
      if (Array.isArray(shape)) side = Math.max(side, shape.at(-1) ?? 0);
    }
  }
  return side === 0 ? "0" : String(Math.min(LARGEST, 2 ** Math.ceil(Math.log2(side))));
}
