/** K-FAC through a running server, against its defining equation in float64. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal, throws } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import {
  type CallName,
  CurvdClient,
  KfacPreconditioner,
  type LayerBlock,
  type LayerStatistics,
  ModelCapture,
  type Statistics,
} from "@/trainer/mod.ts";
import { startServer } from "../../src/training/server.ts";

await tf.setBackend("cpu");
const server = await startServer();
const client = new CurvdClient(server.url);
Deno.test.afterAll(() => server.stop());

const LAMBDA = 0.2;
const n = 6;
type Matrix = number[][];

/** 3-2 with a bias, 2-2 without, then a layer that K-FAC does not know. */
function net() {
  return tf.sequential({
    layers: [
      tf.layers.dense({ units: 2, inputShape: [3] }),
      tf.layers.dense({ units: 2, useBias: false }),
      tf.layers.layerNormalization(),
    ],
  });
}

const blocksOf = (model: tf.LayersModel) => new ModelCapture(model).blocks;

/** The blocks of Dense layers: the others are not preconditioned. */
function denseBlocks(model: tf.LayersModel): LayerBlock[] {
  return blocksOf(model).filter(({ description }) => description.kind === "dense");
}

/** Made-up statistics of every Dense layer, of a loss that is its batch's mean: `seed` tells batches apart. */
function statisticsOf(model: tf.LayersModel, seed: number): Statistics {
  const random = (shape: [number, number], mean: number, seed: number) =>
    tf.randomNormal<tf.Rank.R2>(shape, mean, 1, "float32", seed);
  const layers = denseBlocks(model).map(({ name, kernel }, index) => {
    const [dIn, dOut] = kernel.shape as [number, number];
    return [name, {
      inputs: random([n, dIn], 0.5, seed * 10 + index),
      outputGradients: random([n, dOut], 0, seed * 20 + index),
      gradientScale: n,
    }] as const;
  });
  return { fisher: "sampled", backprops: 1, layers: new Map(layers) };
}

function gradientsOf(model: tf.LayersModel): tf.NamedTensorMap {
  return Object.fromEntries(model.trainableWeights.map((weight, index) => {
    const shape = weight.shape as number[];
    return [weight.name, tf.randomNormal(shape, 0, 1, "float32", 100 + index)];
  }));
}

const product = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
const transposed = (a: Matrix): Matrix => a[0].map((_, j) => a.map((row) => row[j]));
const trace = (a: Matrix): number => a.reduce((sum, row, i) => sum + row[i], 0);
const mapped = (a: Matrix, f: (value: number, i: number, j: number) => number): Matrix =>
  a.map((row, i) => row.map((value, j) => f(value, i, j)));

/** A and G of a batch whose loss is its mean: g is n times what was captured. */
function factorsOf({ inputs, outputGradients }: LayerStatistics, hasBias: boolean) {
  const a = (inputs.arraySync() as Matrix).map((row) => hasBias ? [...row, 1] : row);
  const g = mapped(outputGradients.arraySync() as Matrix, (value) => value * n);
  const mean = (x: Matrix) => mapped(product(transposed(x), x), (value) => value / n);
  return { A: mean(a), G: mean(g) };
}

/** `(A + π√λ I) U (G + √λ/π I)`. */
function damped({ A, G }: { A: Matrix; G: Matrix }, update: Matrix): Matrix {
  const pi = Math.sqrt((trace(A) / A.length) / (trace(G) / G.length));
  const root = Math.sqrt(LAMBDA);
  const A_d = mapped(A, (value, i, j) => value + (i === j ? pi * root : 0));
  const G_d = mapped(G, (value, i, j) => value + (i === j ? root / pi : 0));
  return product(product(A_d, update), G_d);
}

/** `[W; bᵀ]` of a layer among tensors by variable name. */
function stackedOf(
  { kernel, bias }: LayerBlock,
  tensors: tf.NamedTensorMap,
): Matrix {
  const rows = tensors[kernel.name].arraySync() as Matrix;
  return bias ? [...rows, tensors[bias.name].arraySync() as number[]] : rows;
}

function closeTo(actual: Matrix, expected: Matrix): void {
  const size = Math.hypot(...expected.flat());
  const distance = Math.hypot(...actual.flat().map((value, at) => value - expected.flat()[at]));
  equal(actual.flat().length, expected.flat().length);
  ok(distance <= 1e-5 * size, `${distance} beside ${size}`);
}

Deno.test("precondition() solves (A + π√λ I) U (G + √λ/π I) = V, with the bias in its place", async () => {
  const model = net();
  const statistics = statisticsOf(model, 1);
  const preconditioner = new KfacPreconditioner(client, blocksOf(model), { damping: LAMBDA });
  await preconditioner.observe(statistics);
  await preconditioner.refresh();
  const gradients = gradientsOf(model);
  const updates = preconditioner.precondition(gradients, 0.1);
  for (const layer of denseBlocks(model)) {
    const factors = factorsOf(statistics.layers.get(layer.name)!, layer.bias !== null);
    closeTo(damped(factors, stackedOf(layer, updates)), stackedOf(layer, gradients));
  }
});

Deno.test("observe() averages with ρ = min(1 − 1/k, decay)", async () => {
  const model = net();
  const [layer] = denseBlocks(model);
  const batches = [1, 2, 3].map((seed) => statisticsOf(model, seed));
  const preconditioner = new KfacPreconditioner(client, blocksOf(model), {
    damping: LAMBDA,
    decay: 0.6,
  });
  for (const batch of batches) await preconditioner.observe(batch);
  await preconditioner.refresh();

  // ρ = 0, 1/2, 0.6: 2/3 would come next without the limit
  const weights = [0.3, 0.3, 0.4];
  const each = batches.map((batch) => factorsOf(batch.layers.get(layer.name)!, true));
  const averaged = (side: "A" | "G") =>
    mapped(
      each[0][side],
      (_, i, j) => weights.reduce((sum, weight, k) => sum + weight * each[k][side][i][j], 0),
    );
  const gradients = gradientsOf(model);
  const update = stackedOf(layer, preconditioner.precondition(gradients, 0.1));
  closeTo(damped({ A: averaged("A"), G: averaged("G") }, update), stackedOf(layer, gradients));
});

Deno.test("a step clipped by κ has η² Σ⟨U, V⟩ = κ, a shorter one stays as it is", async () => {
  const model = net();
  const statistics = statisticsOf(model, 1);
  const gradients = gradientsOf(model);
  const lengthOf = async (klClip: number | null, learningRate: number) => {
    const preconditioner = new KfacPreconditioner(client, blocksOf(model), {
      damping: LAMBDA,
      klClip,
    });
    await preconditioner.observe(statistics);
    await preconditioner.refresh();
    const updates = preconditioner.precondition(gradients, learningRate);
    const layers = denseBlocks(model).flatMap(({ kernel, bias }) =>
      bias ? [kernel, bias] : [kernel]
    );
    return layers.reduce(
      (sum, { name }) => sum + tf.sum(tf.mul(updates[name], gradients[name])).dataSync()[0],
      0,
    );
  };
  const free = await lengthOf(null, 1);
  const rate = 0.5;
  const nu = (await lengthOf(1e-4, rate)) / free; // ⟨νU, V⟩ = ν⟨U, V⟩
  const clipped = (nu * rate) ** 2 * free;
  ok(nu < 1 && Math.abs(clipped / 1e-4 - 1) < 1e-4, `${clipped}`);
  equal(await lengthOf(1e4, rate), free);
});

Deno.test("gradients of other layers come through as they are", async () => {
  const model = net();
  const preconditioner = new KfacPreconditioner(client, blocksOf(model), { damping: LAMBDA });
  await preconditioner.observe(statisticsOf(model, 1));
  await preconditioner.refresh();
  const gradients = gradientsOf(model);
  const updates = preconditioner.precondition(gradients, 0.1);
  deepEqual(Object.keys(updates).sort(), Object.keys(gradients).sort());
  for (const { name } of model.layers[2].trainableWeights) {
    deepEqual(updates[name].dataSync(), gradients[name].dataSync());
  }
});

Deno.test("precondition() before a refresh is refused, naming the layer", () => {
  const model = net();
  const preconditioner = new KfacPreconditioner(client, blocksOf(model), { damping: LAMBDA });
  const [{ name }] = denseBlocks(model);
  throws(
    () => preconditioner.precondition(gradientsOf(model), 0.1),
    new RegExp(`layer "${name}" before the first refresh`),
  );
});

Deno.test("a hundred steps keep no tensor but the inverses, and dispose() frees those", async () => {
  const model = net();
  const statistics = statisticsOf(model, 1);
  const gradients = gradientsOf(model);
  const before = tf.memory().numTensors;
  const preconditioner = new KfacPreconditioner(client, blocksOf(model), {
    damping: LAMBDA,
    klClip: 1e-3,
  });
  for (let step = 0; step < 100; step++) {
    if (step % 10 === 0) {
      await preconditioner.observe(statistics);
      await preconditioner.refresh();
    }
    tf.dispose(preconditioner.precondition(gradients, 0.1));
  }
  equal(tf.memory().numTensors, before + 4);
  preconditioner.dispose();
  equal(tf.memory().numTensors, before);
});

Deno.test("factors and inverses are asked of the server, updates are not", async () => {
  const model = net();
  const asked: CallName[] = [];
  const watched = new Proxy(client, {
    get: (target, field) =>
      field !== "call" ? Reflect.get(target, field) : (...args: Parameters<typeof client.call>) => {
        asked.push(args[0]);
        return target.call(...args);
      },
  });
  const preconditioner = new KfacPreconditioner(watched, blocksOf(model), { damping: LAMBDA });
  await preconditioner.observe(statisticsOf(model, 1));
  await preconditioner.refresh();
  preconditioner.precondition(gradientsOf(model), 0.1);
  deepEqual(asked, ["factors", "inverses"]);
});
