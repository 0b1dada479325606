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
  readonly usual: { readonly rate: number; readonly damping: number; readonly adamRate: number };
}

const CODE = [784, 256, 64, 16];

export const NETS = {
  classifier: {
    make: (seed) => multilayerPerceptron(MLP_WIDTHS, seed),
    loss: softmaxCrossEntropy(),
    batchAt: batchOf,
    usual: { rate: 0.1, damping: 0.03, adamRate: 0.003 },
  },
  autoencoder: {
    make: (seed) => autoEncoder(CODE, seed),
    loss: sigmoidCrossEntropy(),
    batchAt: reconstructionBatchOf,
    usual: { rate: 0.3, damping: 0.001, adamRate: 0.002 },
  },
} satisfies Record<string, Net>;

export type NetName = keyof typeof NETS;
