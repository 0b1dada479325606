/**
 * K-FAC by a curvd server: factors and damped inverses are made there, applied here.
 *
 *   A ← ρA + (1−ρ)Σ a aᵀ/n    G ← ρG + (1−ρ)Σ g gᵀ/n    ρ = min(1 − 1/k, decay)
 *   U = (A + π√λ I)⁻¹ V (G + √λ/π I)⁻¹,    V = [∇W; ∇bᵀ]  [d_in + 1, d_out]
 *
 * An update with inverses fetched once costs two small products, less than sending V. The running
 * averages live here, as the server's calls are stateless.
 *
 * Source: Martens & Grosse 2015, arXiv:1503.05671, sections 3 to 6.3; KL clipping as in
 * kfac-pytorch, after Ba, Grosse & Martens 2017, section 5.
 *
 * @module
 */
import {
  concat,
  dispose,
  div,
  matMul,
  minimum,
  mul,
  type NamedTensorMap,
  type Scalar,
  scalar,
  slice,
  sqrt,
  sum,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  tensor2d,
  tidy,
} from "@tensorflow/tfjs";
import { tensorOf, type WireTensor } from "@/wire/documents.ts";
import type { LayerBlock, Statistics } from "./capture/mod.ts";
import type { CallRequest, CurvdClient } from "./client/mod.ts";

export interface KfacSettings {
  /** λ > 0, in the units of F. */
  readonly damping: number;
  /** Limit of ρ; 0.95 in the paper. */
  readonly decay?: number;
  /** κ: bound of the squared length of a step in the metric F; null for none. */
  readonly klClip?: number | null;
}

/** A model's running curvature and the inverses last made of it. */
export class KfacPreconditioner {
  readonly #layers: readonly LayerBlock[];
  readonly #averages = new Map<string, Factors>();
  readonly #inverses = new Map<string, Inverses>();
  readonly #damping: number;
  readonly #decay: number;
  readonly #klClip: number | null;
  /** Batches observed. */
  #batches = 0;

  /** @param blocks of a model's capture: those of Dense layers are preconditioned, the others are not. */
  constructor(
    private readonly client: CurvdClient,
    blocks: readonly LayerBlock[],
    { damping, decay = 0.95, klClip = null }: KfacSettings,
  ) {
    this.#layers = blocks.filter(({ description }) => description.kind === "dense");
    this.#damping = damping;
    this.#decay = decay;
    this.#klClip = klClip;
  }

  /**
   * Takes a batch into the running averages.
   *
   * @param statistics that every Dense layer is in; stays the caller's.
   */
  async observe({ fisher, backprops, layers: byName }: Statistics): Promise<void> {
    const layers = Object.fromEntries(
      await Promise.all(this.#layers.map(async ({ name, description }) => {
        const { inputs, outputGradients, gradientScale } = byName.get(name)!;
        const [a, g] = await Promise.all([toWire(inputs), toWire(outputGradients)]);
        const statistics = { inputs: a, output_gradients: g, gradient_scale: gradientScale };
        return [name, { ...description, ...statistics } as FactorsLayer];
      })),
    );
    const answer = await this.client.call("factors", {
      fisher,
      ...(backprops > 1 && { backprops }),
      layers,
    });

    this.#batches++;
    const rho = Math.min(1 - 1 / this.#batches, this.#decay);
    for (const { name } of this.#layers) {
      const { A, G } = answer.layers[name] as Factors;
      const old = this.#averages.get(name);
      this.#averages.set(name, {
        A: old ? average(old.A, A, rho) : A,
        G: old ? average(old.G, G, rho) : G,
      });
    }
  }

  /** Has the damped inverses of the running averages made anew. */
  async refresh(): Promise<void> {
    const { layers } = await this.client.call("inverses", {
      damping: this.#damping,
      layers: Object.fromEntries(this.#averages),
    });
    for (const [name, { A_inv, G_inv }] of Object.entries(layers)) {
      const old = this.#inverses.get(name);
      if (old) dispose([old.A_inv, old.G_inv]);
      this.#inverses.set(name, { A_inv: fromWire(A_inv!), G_inv: fromWire(G_inv!) });
    }
  }

  /**
   * Preconditions mean gradients; those of variables outside Dense layers stay as they are.
   *
   * @param gradients by variable name.
   * @param learningRate of the step to come: KL clipping bounds that step.
   * @returns updates by variable name, to be taken where the gradients would be; the caller disposes them.
   * @throws RangeError before the first {@linkcode KfacPreconditioner.refresh}.
   */
  precondition(gradients: NamedTensorMap, learningRate: number): NamedTensorMap {
    return tidy(() => {
      const rest = new Map(Object.entries(gradients));
      const blocks = this.#layers.map((layer) => {
        const gradient = stacked(layer, gradients);
        for (const { name } of variablesOf(layer)) rest.delete(name);
        return { layer, gradient, update: this.#solve(layer.name, gradient) };
      });
      const nu = this.#klFactor(blocks, learningRate);
      const updates = blocks.flatMap(({ layer, update }) => {
        return Object.entries(unstacked(layer, nu ? mul(update, nu) : update));
      });
      const untouched = [...rest].map(([name, gradient]) => [name, gradient.clone()]);
      return Object.fromEntries([...updates, ...untouched]);
    });
  }

  dispose(): void {
    for (const { A_inv, G_inv } of this.#inverses.values()) dispose([A_inv, G_inv]);
    this.#inverses.clear();
  }

  /** `U = A⁻¹ V G⁻¹`. */
  #solve(name: string, gradient: Tensor2D): Tensor2D {
    const inverses = this.#inverses.get(name);
    if (inverses === undefined) {
      throw new RangeError(`Cannot precondition layer "${name}" before the first refresh`);
    }
    return matMul(matMul(inverses.A_inv, gradient), inverses.G_inv);
  }

  /** `ν = min(1, √(κ / (η² Σ⟨U, V⟩)))`, kept on the device: no value is waited for. */
  #klFactor(blocks: readonly Block[], learningRate: number): Scalar | null {
    if (this.#klClip === null) return null;
    const products = blocks.map(({ gradient, update }) => sum(mul(update, gradient)) as Scalar);
    const total = products.reduce((left, right) => left.add(right) as Scalar);
    const bound = scalar(this.#klClip / learningRate ** 2);
    return minimum(scalar(1), sqrt(div(bound, total))) as Scalar;
  }
}

type FactorsLayer = CallRequest<"factors">["layers"][string];

interface Factors {
  readonly A: WireTensor;
  readonly G: WireTensor;
}

interface Inverses {
  readonly A_inv: Tensor2D;
  readonly G_inv: Tensor2D;
}

interface Block {
  readonly gradient: Tensor2D;
  readonly update: Tensor2D;
}

function variablesOf({ kernel, bias }: LayerBlock) {
  return bias ? [kernel, bias] : [kernel];
}

/** `V = [∇W; ∇bᵀ]`, the bias as the row of the homogeneous 1. */
function stacked({ kernel, bias }: LayerBlock, gradients: NamedTensorMap): Tensor2D {
  const ofKernel = gradients[kernel.name] as Tensor2D;
  if (bias === null) return ofKernel;
  const ofBias = gradients[bias.name] as Tensor1D;
  return concat([ofKernel, ofBias.reshape([1, -1]) as Tensor2D]);
}

/** The kernel's and the bias's part of a stacked matrix, by variable name. */
function unstacked({ kernel, bias }: LayerBlock, matrix: Tensor2D): NamedTensorMap {
  if (bias === null) return { [kernel.name]: matrix };
  const [dIn, dOut] = kernel.shape;
  return {
    [kernel.name]: slice(matrix, [0, 0], [dIn, dOut]),
    [bias.name]: slice(matrix, [dIn, 0], [1, dOut]).reshape([dOut]),
  };
}

/** `ρ·old + (1−ρ)·fresh`, in place of `old`'s values. */
function average(old: WireTensor, fresh: WireTensor, rho: number): WireTensor {
  for (let i = 0; i < old.data.length; i++) {
    old.data[i] = rho * old.data[i] + (1 - rho) * fresh.data[i];
  }
  return old;
}

async function toWire(tensor: Tensor): Promise<WireTensor> {
  const values = await tensor.data<"float32">();
  return tensorOf(tensor.shape, values as Float32Array<ArrayBuffer>);
}

function fromWire({ shape, data }: WireTensor): Tensor2D {
  return tensor2d(data, shape as [number, number], "float32");
}
