/**
 * What nets are trained on, as bytes: images, their order, and CURVES, which is generated.
 *
 * @module
 */
export { curves } from "./curves.ts";
export { readIdx } from "./idx.ts";
export { type Images, type LabelledImages, PIXELS, SIDE } from "./images.ts";
export { mulberry32, shuffled } from "./random.ts";
