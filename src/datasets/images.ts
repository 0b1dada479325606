/** Sets of small grey images. @module */

/** Side of an image, and its pixels. */
export const SIDE = 28;
export const PIXELS = SIDE * SIDE;

export interface Images {
  readonly count: number;
  /** `[count, 784]`, row by row, 0 to 255. */
  readonly pixels: Uint8Array;
}

/** Images with a class each. */
export interface LabelledImages extends Images {
  /** `[count]`. */
  readonly labels: Uint8Array;
  readonly classes: number;
}
