/** A preconditioner applied by the client, against the server's own updates: every method, every kind of layer. */
import { ok, strictEqual as equal, throws } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { CurvdClient, ModelCapture, squaredError } from "@/trainer/mod.ts";
import { LocalPreconditioner } from "../../../src/trainer/local/preconditioner.ts";
import { readLayers } from "../../../src/trainer/optimizer/requests.ts";
import { served } from "../served.ts";

const { url, client } = await served();

const LAMBDA = 0.3;
const loss = squaredError();

/** Layers of every kind: convolutions with and without a bias, depthwise, normalisations, dense. */
function convNet(): { model: tf.LayersModel; inputs: tf.Tensor; targets: tf.Tensor } {
  const seeded = (seed: number) => tf.initializers.randomNormal({ stddev: 0.5, seed });
  const model = tf.sequential({
    layers: [
      tf.layers.conv2d({
        filters: 4,
        kernelSize: [3, 2],
        inputShape: [6, 5, 3],
        kernelInitializer: seeded(1),
      }),
      tf.layers.depthwiseConv2d({
        kernelSize: [2, 2],
        depthMultiplier: 2,
        depthwiseInitializer: seeded(2),
      }),
      tf.layers.conv2d({
        filters: 3,
        kernelSize: 1,
        useBias: false,
        activation: "tanh",
        kernelInitializer: seeded(3),
      }),
      tf.layers.batchNormalization(),
      tf.layers.flatten(),
      tf.layers.dense({ units: 5, useBias: false, kernelInitializer: seeded(4) }),
      tf.layers.layerNormalization(),
      tf.layers.dense({ units: 2, kernelInitializer: seeded(5) }),
    ],
  });
  return {
    model,
    inputs: tf.randomNormal([9, 6, 5, 3], 0.3, 1, "float32", 3),
    targets: tf.randomNormal([9, 2], 0, 1, "float32", 4),
  };
}

/** A table of tokens, then a dense layer at each place. */
function tokenNet(): { model: tf.LayersModel; inputs: tf.Tensor; targets: tf.Tensor } {
  const seeded = (seed: number) => tf.initializers.randomNormal({ stddev: 0.5, seed });
  const model = tf.sequential({
    layers: [
      tf.layers.embedding({
        inputDim: 7,
        outputDim: 4,
        inputLength: 3,
        embeddingsInitializer: seeded(1),
      }),
      tf.layers.dense({ units: 3, activation: "tanh", kernelInitializer: seeded(2) }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 2, kernelInitializer: seeded(3) }),
    ],
  });
  return {
    model,
    inputs: tf.tensor2d([[0, 1, 2], [3, 4, 5], [6, 1, 1], [2, 2, 0], [5, 3, 1]], [5, 3], "int32"),
    targets: tf.randomNormal([5, 2], 0, 1, "float32", 4),
  };
}

/** Two batches of statistics, then the update of a gradient: by the server, and by what it answers. */
async function compared(
  net: ReturnType<typeof convNet>,
  session: Record<string, unknown>,
  { clip = null, by = client }: { clip?: number | null; by?: CurvdClient } = {},
): Promise<{ distance: number; factor: number | null; layers: number }> {
  const { model, inputs, targets } = net;
  const capture = new ModelCapture(model);
  const { session: opened } = await by.createSession(
    {
      damping: LAMBDA,
      kl_clip: clip,
      layers: Object.fromEntries(
        capture.blocks.map((block) => [block.name, { ...block.description, ...block.sizes }]),
      ),
      ...session,
    } as Parameters<typeof client.createSession>[0],
  );
  const lossOf = () => loss.loss(targets, model.apply(inputs, { training: true }) as tf.Tensor);
  for (const seed of [1, 2]) {
    const statistics = capture.statistics(lossOf, { fisher: "sampled", loss, seed });
    const { layers, words } = await readLayers(capture.blocks, statistics, new Map());
    await opened.statistics({ layers, ...words });
  }
  await opened.refresh();

  const { loss: value, gradients } = capture.gradients(lossOf);
  const ofBlocks = new Map(
    capture.blocks.map((block) => [block.name, block.gradientOf(gradients)!]),
  );
  const { layers } = await readLayers(capture.blocks, null, ofBlocks);
  const learning_rate = 0.7;
  const request = { layers, learning_rate } as Parameters<typeof opened.updates>[0];
  const answer = await opened.updates(request);
  const { document } = await opened.preconditioner();
  const local = new LocalPreconditioner(document!, capture.blocks);
  const made = local.apply(ofBlocks, clip === null ? null : { kappa: clip, learningRate: 0.7 });
  const distance = tf.tidy(() =>
    Math.max(...capture.blocks.flatMap((block) => {
      const { update, bias_update } = answer.layers[block.name];
      const expected = block.updateOf({
        update: tf.tensor(update.data, [...update.shape]),
        bias_update: bias_update && tf.tensor1d(bias_update.data),
      });
      return Object.entries(expected).map(([name, values]) => {
        const [apart, size] = [tf.norm(tf.sub(made.updates[name], values)), tf.norm(values)];
        return apart.dataSync()[0] / size.dataSync()[0];
      });
    }))
  );
  const factor = made.klFactor?.dataSync()[0] ?? null;
  if (factor !== null) ok(Math.abs(factor / answer.kl_clip_factor! - 1) < 1e-4);
  local.dispose();
  made.klFactor?.dispose();
  tf.dispose([value, gradients, made.updates, [...ofBlocks.values()].map((each) => ({ ...each }))]);
  await opened.delete();
  return { distance, factor, layers: Object.keys(answer.layers).length };
}

/** Methods that `mode: "local"` takes, in each of their forms. */
const FORMS: [name: string, session: Record<string, unknown>][] = [
  ["kfac, factored", { method: "kfac" }],
  ["kfac, plain", { method: "kfac", damping_rule: "plain" }],
  ["kfac, exact", { method: "kfac", damping_rule: "exact" }],
  ["ekfac", { method: "ekfac" }],
  ["kpsvd", { method: "kpsvd" }],
  ["deflation", { method: "deflation" }],
  ["deflation, abs_factors", { method: "deflation", indefinite: "abs_factors" }],
  ["lanczos, another floor", { method: "lanczos", floor: 0.5 }],
  ["kfac_corrected", { method: "kfac_corrected" }],
  ["tkfac", { method: "tkfac" }],
  ["tekfac", { method: "tekfac" }],
  ["mbf", { method: "mbf" }],
  ["mbf, averaged", { method: "mbf", mbf_blocks: "averaged" }],
];

for (const [name, session] of FORMS) {
  Deno.test(`${name}: updates made here are the server's, for convolutions, normalisations and dense layers`, async () => {
    const net = convNet();
    const { distance, layers } = await compared(net, session);
    equal(layers, 7);
    ok(distance < 2e-4, `${distance}`);
    tf.dispose([net.inputs, net.targets]);
    net.model.dispose();
  });
}

for (const session of [{ method: "kfac" }, { method: "foof" }, { damping_rule: "exact" }]) {
  Deno.test(`${JSON.stringify(session)}: updates made here are the server's, for a table of tokens`, async () => {
    const net = tokenNet();
    const { distance, layers } = await compared(net, session);
    equal(layers, 3);
    ok(distance < 2e-4, `${distance}`);
    tf.dispose([net.inputs, net.targets]);
    net.model.dispose();
  });
}

Deno.test("a clip shortens updates made here by the server's own factor", async () => {
  const net = tokenNet();
  const { distance, factor } = await compared(net, { method: "kfac" }, { clip: 1e-4 });
  ok(factor! < 0.9, `${factor}`);
  ok(distance < 2e-4, `${distance}`);
  tf.dispose([net.inputs, net.targets]);
  net.model.dispose();
});

Deno.test("inverses that come packed and in BF16 are those that come whole, to BF16's rounding", async () => {
  const receive = { dtype: "BF16", symmetric: "packed" } as const;
  const by = new CurvdClient(url, { receive });
  for (const net of [convNet(), tokenNet()]) {
    const { distance } = await compared(net, { method: "kfac" }, { by });
    ok(distance > 1e-4 && distance < 0.05, `${distance}`);
    tf.dispose([net.inputs, net.targets]);
    net.model.dispose();
  }
});

Deno.test("preconditioners of every form come in JSON too", async () => {
  const by = new CurvdClient(url, { encoding: "json" });
  for (const method of ["ekfac", "deflation", "mbf"]) {
    const net = convNet();
    const { distance } = await compared(net, { method }, { by });
    ok(distance < 2e-4, `${distance}`);
    tf.dispose([net.inputs, net.targets]);
  }
});

Deno.test("a spectrum without damping is refused here: only the server knows its rounding", () => {
  const capture = new ModelCapture(tokenNet().model, { onUncovered: () => {} });
  const S = { dtype: "F32", shape: [2, 2], data: new Float32Array(4) } as const;
  const document = { version: 1, damping: 0, layers: { [capture.blocks[1].name]: { S } } };
  throws(
    () => new LocalPreconditioner(document as never, capture.blocks),
    /locally without damping/,
  );
});

Deno.test("a preconditioner leaves no tensor behind", async () => {
  const net = convNet();
  const before = tf.memory().numTensors;
  for (const method of ["kfac", "ekfac", "kfac_corrected", "mbf"]) {
    await compared(net, { method }, { clip: 1e-4 });
  }
  equal(tf.memory().numTensors, before);
});
