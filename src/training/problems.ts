/**
 * What there is to train: a network, its images, its loss.
 *
 * @module
 */
import type { Scalar, Sequential, Tensor, Tensor2D } from "@tensorflow/tfjs";
import { tidy } from "@tensorflow/tfjs";
import { curves, type Images, type LabelledImages } from "@/datasets/mod.ts";
import {
  autoEncoder,
  type Batch,
  batchOf,
  convNet,
  CURVES_CODE,
  MLP_WIDTHS,
  MNIST_CODE,
  multilayerPerceptron,
  reconstructionBatchOf,
} from "@/networks/mod.ts";
import { testDigits, trainingDigits } from "@/mnist/mod.ts";
import { type FisherLoss, sigmoidCrossEntropy, softmaxCrossEntropy } from "@/trainer/mod.ts";

/** Images by their places. */
export interface Examples {
  readonly count: number;
  batchAt(places: Uint32Array): Batch;
}

export interface Problem {
  readonly name: string;
  /** The network in words, for titles. */
  readonly description: string;
  /** Of logits; an auto-encoder's is the mean over pixels, as Koroko et al. report it. */
  readonly loss: FisherLoss;
  /** Whether the network tells classes: then its accuracy is worth reporting. */
  readonly hasClasses: boolean;
  /** The same weights for the same seed. */
  network(seed: number): Sequential;
  load(): Promise<{ training: Examples; test: Examples }>;
}

/** CURVES as Hinton & Salakhutdinov divide it. */
const CURVES_COUNTS = { training: 20_000, test: 10_000 };
const CURVES_SEEDS = { training: 1, test: 2 };

export const PROBLEMS = {
  "mnist-autoencoder": {
    name: "mnist-autoencoder",
    description: `MNIST auto-encoder ${MNIST_CODE.join("-")} and back`,
    loss: sigmoidCrossEntropy(),
    hasClasses: false,
    network: (seed) => autoEncoder(MNIST_CODE, seed),
    load: async () => ({
      training: reconstructed(await trainingDigits()),
      test: reconstructed(await testDigits()),
    }),
  },
  "curves-autoencoder": {
    name: "curves-autoencoder",
    description: `CURVES auto-encoder ${CURVES_CODE.join("-")} and back`,
    loss: sigmoidCrossEntropy(),
    hasClasses: false,
    network: (seed) => autoEncoder(CURVES_CODE, seed),
    load: () =>
      Promise.resolve({
        training: reconstructed(curves(CURVES_COUNTS.training, CURVES_SEEDS.training)),
        test: reconstructed(curves(CURVES_COUNTS.test, CURVES_SEEDS.test)),
      }),
  },
  "mnist-conv": {
    name: "mnist-conv",
    description: "MNIST conv net, 8 and 16 filters of 5×5 with stride 2, then 10 classes",
    loss: softmaxCrossEntropy(),
    hasClasses: true,
    network: convNet,
    load: classifiedDigits,
  },
  mlp: {
    name: "mlp",
    description: `MNIST classifier ${MLP_WIDTHS.join("-")}`,
    loss: softmaxCrossEntropy(),
    hasClasses: true,
    network: (seed) => multilayerPerceptron(MLP_WIDTHS, seed),
    load: classifiedDigits,
  },
} satisfies Record<string, Problem>;

export type ProblemName = keyof typeof PROBLEMS;

/** How a network does on some examples. */
export interface Score {
  readonly loss: number;
  /** Share of examples told right; absent where there are no classes. */
  readonly accuracy?: number;
}

export function score(problem: Problem, model: Sequential, { inputs, targets }: Batch): Score {
  return tidy(() => {
    const outputs = model.apply(inputs) as Tensor2D;
    const loss = valueOf(problem.loss.loss(targets, outputs));
    if (!problem.hasClasses) return { loss };
    const isRight = outputs.argMax(1).equal(targets.argMax(1));
    return { loss, accuracy: valueOf(isRight.toFloat().mean() as Scalar) };
  });
}

function valueOf(tensor: Tensor): number {
  return tensor.dataSync()[0];
}

function reconstructed(images: Images): Examples {
  return { count: images.count, batchAt: (places) => reconstructionBatchOf(images, places) };
}

async function classifiedDigits() {
  const examples = (images: LabelledImages): Examples => ({
    count: images.count,
    batchAt: (places) => batchOf(images, places),
  });
  return {
    training: examples(await trainingDigits()),
    test: examples(await testDigits()),
  };
}
