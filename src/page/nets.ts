/** The nets that the page offers, with numbers that train them. @module */
import type { LabelledImages } from "@/datasets/mod.ts";
import {
  autoEncoder,
  type Batch,
  batchOf,
  MLP_WIDTHS,
  multilayerPerceptron,
  reconstructionBatchOf,
} from "@/networks/mod.ts";
import { type FisherLoss, sigmoidCrossEntropy, softmaxCrossEntropy, type tf } from "./trainer.ts";

export interface Net {
  /** The same first weights for the same seed. */
  make(seed: number): tf.Sequential;
  readonly loss: FisherLoss;
  batchAt(images: LabelledImages, places: Uint32Array): Batch;
  /** κ: bound of a step's length in the metric of the curvature. */
  readonly klClip: number;
  readonly usual: { readonly rate: number; readonly damping: number; readonly adamRate: number };
}

const CODE = [784, 256, 64, 16];

export const NETS = {
  classifier: {
    make: (seed) => multilayerPerceptron(MLP_WIDTHS, seed),
    loss: softmaxCrossEntropy(),
    batchAt: batchOf,
    klClip: 1e-2,
    usual: { rate: 0.3, damping: 0.01, adamRate: 0.003 },
  },
  autoencoder: {
    make: (seed) => autoEncoder(CODE, seed),
    loss: sigmoidCrossEntropy(),
    batchAt: reconstructionBatchOf,
    klClip: 1e-4, // of a loss that is the mean over 784 pixels
    usual: { rate: 1, damping: 1e-6, adamRate: 0.002 },
  },
} satisfies Record<string, Net>;

export type NetName = keyof typeof NETS;
