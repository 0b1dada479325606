/** The digits that the page trains on. @module */
import { type LabelledImages, readIdx } from "@/datasets/mod.ts";

/** MNIST's 10 000 test digits, as the server serves the files: a fifth of the bytes of the training set. */
export async function loadDigits(): Promise<LabelledImages> {
  const [images, labels] = await Promise.all([bytesAt("images.idx"), bytesAt("labels.idx")]);
  const values = readIdx(labels, 1);
  return { count: values.length, pixels: readIdx(images, 3), labels: values, classes: 10 };
}

async function bytesAt(name: string): Promise<Uint8Array> {
  const response = await fetch(`/page/${name}`);
  if (!response.ok) throw new Error(`The server answers ${response.status} for ${name}`);
  return new Uint8Array(await response.arrayBuffer());
}
