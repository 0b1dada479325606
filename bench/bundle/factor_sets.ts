/**
 * Sides of the Kronecker factors of two nets, as published cost tables use them.
 *
 * @module
 */

/** 784-1024-512-256-128-64-10 with biases. */
export const MLP_SIZES: readonly number[] = [
  [785, 1024],
  [1025, 512],
  [513, 256],
  [257, 128],
  [129, 64],
  [65, 10],
].flat();

type Pair = readonly [number, number];

/** One stage of ResNet-50: its first block, with the projection, and the others. */
function stage(inputs: number, width: number, blocks: number): Pair[] {
  const outputs = 4 * width;
  const block = (c: number): Pair[] => [[c, width], [9 * width, width], [width, outputs]];
  return [
    ...block(inputs),
    [inputs, outputs],
    ...Array.from({ length: blocks - 1 }, () => block(outputs)).flat(),
  ];
}

/** KFC factors of ResNet-50's convolutions (no biases) and of its classifier. */
export const RESNET50_SIZES: readonly number[] = [
  [147, 64],
  ...stage(64, 64, 3),
  ...stage(256, 128, 4),
  ...stage(512, 256, 6),
  ...stage(1024, 512, 3),
  [2049, 1000],
].flat();
