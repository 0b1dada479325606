/**
 * Batches of images: whole ones without end, in a new order each epoch.
 *
 * @module
 */
import { dispose, oneHot, tensor1d, type Tensor2D, tensor2d, tidy } from "@tensorflow/tfjs";
import { type Images, type LabelledImages, PIXELS, shuffled } from "@/datasets/mod.ts";

/** A batch as a network takes it; the caller disposes it. */
export interface Batch {
  /** `[n, 784]`, 0 to 1. */
  readonly inputs: Tensor2D;
  /** What the outputs ought to be: `[n, classes]` one-hot, or the inputs themselves. */
  readonly targets: Tensor2D;
}

/** The images at some places, to be told apart by their classes. */
export function batchOf(images: LabelledImages, places: Uint32Array): Batch {
  const labels = Int32Array.from(places, (place) => images.labels[place]);
  return {
    inputs: inputsOf(images, places),
    targets: tidy(() => oneHot(tensor1d(labels, "int32"), images.classes).toFloat() as Tensor2D),
  };
}

/** The images at some places, to be answered themselves. */
export function reconstructionBatchOf(images: Images, places: Uint32Array): Batch {
  const inputs = inputsOf(images, places);
  return { inputs, targets: inputs };
}

export function disposeBatch({ inputs, targets }: Batch): void {
  dispose([inputs, targets]);
}

/**
 * Whole batches without end, in a new order each epoch.
 *
 * @param batchAt makes the batch of some places among `count`.
 */
export function* batchesOf<T>(
  count: number,
  size: number,
  seed: number,
  batchAt: (places: Uint32Array) => T,
): Generator<T, never> {
  for (let epoch = 0;; epoch++) {
    const order = shuffled(count, seed * 1000 + epoch);
    for (let at = 0; at + size <= order.length; at += size) {
      yield batchAt(order.subarray(at, at + size));
    }
  }
}

function inputsOf({ pixels }: Images, places: Uint32Array): Tensor2D {
  const values = new Float32Array(places.length * PIXELS);
  places.forEach((place, row) => {
    for (let pixel = 0; pixel < PIXELS; pixel++) {
      values[row * PIXELS + pixel] = pixels[place * PIXELS + pixel] / 255;
    }
  });
  return tensor2d(values, [places.length, PIXELS]);
}
