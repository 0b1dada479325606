/** What a captured pass costs, leaves behind and changes: one forward pass, no tensor, nothing. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal, throws } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { disposeStatistics, ModelCapture, type StatisticsRequest } from "@/trainer/capture/mod.ts";
import { softmaxCrossEntropy } from "@/trainer/fisher/mod.ts";
import { type Specimen, specimen, SPECIMENS } from "./zoo.ts";

await tf.setBackend("cpu");

const loss = softmaxCrossEntropy();
const REQUESTS: StatisticsRequest[] = [
  { fisher: "empirical" },
  { fisher: "sampled", loss, seed: 1, samples: 2 },
  { fisher: "exact", loss },
];

const applied = ({ model, inputs }: Specimen) => model.apply(inputs, { training: true });
const lossOf = (one: Specimen) => () => loss.loss(one.targets, applied(one) as tf.Tensor);
const numTensors = () => tf.memory().numTensors;

for (const name of SPECIMENS) {
  Deno.test(`a captured pass leaves its answers and nothing else: ${name}`, () => {
    const one = specimen(name);
    const capture = new ModelCapture(one.model);
    for (const statistics of REQUESTS) {
      const before = numTensors();
      const captured = capture.gradients(lossOf(one), { statistics });
      const answers = 1 + one.model.trainableWeights.length + 2 * capture.blocks.length;
      equal(numTensors(), before + answers);
      tf.dispose([captured.loss, captured.gradients]);
      disposeStatistics(captured.statistics!);
      equal(numTensors(), before);

      const pass = statistics.fisher === "empirical" ? lossOf(one) : () => applied(one);
      disposeStatistics(capture.statistics(pass, statistics));
      equal(numTensors(), before, "statistics()");
    }
  });

  Deno.test(`gradients are the same whatever is captured beside them: ${name}`, () => {
    const one = specimen(name);
    const capture = new ModelCapture(one.model);
    const [first, ...others] = REQUESTS.map((statistics) => {
      const { gradients, loss } = capture.gradients(lossOf(one), { statistics });
      const sorted = Object.entries(gradients).sort(([x], [y]) => x < y ? -1 : 1);
      return [loss, ...sorted.map(([, gradient]) => gradient)].map((tensor) => tensor.dataSync());
    });
    for (const other of others) deepEqual(other, first);
  });
}

Deno.test("within a tidy, answers that are not returned are disposed", () => {
  const one = specimen("dense, relu");
  const capture = new ModelCapture(one.model);
  const before = numTensors();
  for (const statistics of [...REQUESTS, null]) {
    tf.tidy(() => void capture.gradients(lossOf(one), { statistics }));
    equal(numTensors(), before);
  }
});

Deno.test("without statistics a pass is TensorFlow.js's own", () => {
  const one = specimen("dense, relu");
  const capture = new ModelCapture(one.model);
  const own = tf.variableGrads(lossOf(one));
  const { loss, gradients, statistics } = capture.gradients(lossOf(one));
  equal(statistics, null);
  deepEqual(loss.dataSync(), own.value.dataSync());
  for (const [name, gradient] of Object.entries(own.grads)) {
    deepEqual(gradients[name].dataSync(), gradient.dataSync());
  }
});

Deno.test("only the variables asked for are differentiated by", () => {
  const one = specimen("dense, relu");
  const [kernel] = one.model.trainableWeights.map((weight) => weight.read() as tf.Variable);
  const capture = new ModelCapture(one.model);
  for (const statistics of [null, ...REQUESTS]) {
    const { gradients } = capture.gradients(lossOf(one), { variables: [kernel], statistics });
    deepEqual(Object.keys(gradients), [kernel.name]);
    // half a layer's gradient is none that the server could precondition
    deepEqual(capture.blocks.map((block) => block.gradientOf(gradients)), [null, null]);
  }
});

/** How often each kernel runs. */
async function kernelsOf(pass: () => void): Promise<Map<string, number>> {
  const { kernels } = await tf.profile(() =>
    tf.tidy(() => pass()) as unknown as tf.TensorContainer
  );
  const counts = new Map<string, number>();
  for (const { name } of kernels) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

Deno.test("sampled statistics take a backward pass each over one forward pass, and form no kernel's gradient", async () => {
  const layers = [8, 7, 6, 3].map((units, at) =>
    tf.layers.dense({ units, activation: "tanh", ...(at === 0 && { inputShape: [9] }) })
  );
  const model = tf.sequential({ layers });
  const inputs = tf.randomNormal([4, 9]);
  const targets = tf.oneHot(tf.tensor1d([0, 1, 2, 0], "int32"), 3).toFloat();
  const capture = new ModelCapture(model);
  const pass = () => model.apply(inputs, { training: true }) as tf.Tensor;
  const products = async (run: () => void) => (await kernelsOf(run)).get("BatchMatMul");

  const [forward, backward] = [4, 3]; // of the first layer, no gradient by its inputs
  const sampled = (samples: number): StatisticsRequest => ({
    fisher: "sampled",
    loss,
    seed: 1,
    samples,
  });
  for (const samples of [1, 3]) {
    equal(
      await products(() => void capture.statistics(pass, sampled(samples))),
      forward + samples * backward,
    );
    const step = () =>
      void capture.gradients(() => loss.loss(targets, pass()), { statistics: sampled(samples) });
    equal(await products(step), forward + backward + 4 + samples * backward);
  }
  const empirical = () =>
    void capture.gradients(() => loss.loss(targets, pass()), {
      statistics: { fisher: "empirical" },
    });
  equal(await products(empirical), forward + backward + 4);
});

Deno.test("a pass with statistics moves the averages of a batch normalisation once", () => {
  const averagesAfter = (pass: (one: Specimen) => void) => {
    const one = specimen("batch normalization");
    pass(one);
    return one.model.getWeights().map((weight) => weight.dataSync());
  };
  const expected = averagesAfter((one) => void applied(one));
  for (const statistics of REQUESTS) {
    const actual = averagesAfter((one) => {
      new ModelCapture(one.model).gradients(lossOf(one), { statistics });
    });
    deepEqual(actual, expected);
  }
});

Deno.test("dropout is drawn once: all backward passes are of the same units", () => {
  const layers = [
    tf.layers.dense({ units: 50, inputShape: [4] }),
    tf.layers.dropout({ rate: 0.5 }),
    tf.layers.dense({ units: 3 }),
  ];
  const model = tf.sequential({ layers });
  const capture = new ModelCapture(model);
  const inputs = tf.randomNormal([5, 4]);
  const pass = () => model.apply(inputs, { training: true });
  const { layers: captured } = capture.statistics(pass, { fisher: "exact", loss });
  const g = captured.get(capture.blocks[0].name)!.outputGradients;
  const dropped = tf.unstack(tf.equal(g, 0)).map((backprop) => `${backprop.dataSync()}`);
  ok(dropped[0].includes("1") && dropped[0].includes("0"));
  equal(new Set(dropped).size, 1);
});

Deno.test("a captured model computes as before, also after a pass that failed", () => {
  for (const name of SPECIMENS) {
    const one = specimen(name);
    const own = () => (one.model.apply(one.inputs) as tf.Tensor).dataSync();
    const keys = () => one.model.layers.map((layer) => Object.keys(layer).sort());
    const capture = new ModelCapture(one.model);
    const [before, had] = [own(), keys()];
    disposeStatistics(capture.statistics(lossOf(one), REQUESTS[0]));
    deepEqual(keys(), had);
    for (const request of REQUESTS) {
      throws(() =>
        capture.statistics(() => {
          one.model.apply(one.inputs);
          throw new Error("no loss");
        }, request), /no loss/);
    }
    deepEqual(keys(), had);
    if (!name.startsWith("batch")) deepEqual(own(), before); // its averages have moved
  }
});

Deno.test("a layer that the loss does not reach has no statistics, and no gradient", () => {
  const input = tf.input({ shape: [4] });
  const names = ["used", "idle"];
  const outputs = names.map((name) =>
    tf.layers.dense({ units: 2, name }).apply(input) as tf.SymbolicTensor
  );
  const model = tf.model({ inputs: input, outputs });
  const capture = new ModelCapture(model);
  const { gradients, statistics } = capture.gradients(() => {
    const [used] = model.apply(tf.ones([3, 4])) as tf.Tensor[];
    return tf.mean(used) as tf.Scalar;
  }, { statistics: { fisher: "empirical" } });
  deepEqual([...statistics!.layers.keys()], ["used"]);
  const [used, idle] = capture.blocks.map((block) => block.gradientOf(gradients));
  ok(used !== null && idle === null);
});

Deno.test("uses of a convolution of several sizes are refused by name", () => {
  const sides = [4, 5].map((side) => tf.input({ shape: [side, side, 1] }));
  const shared = tf.layers.conv2d({ filters: 2, kernelSize: 2, name: "shared" });
  const pooled = sides.map((side) =>
    tf.layers.globalAveragePooling2d({}).apply(shared.apply(side)) as tf.SymbolicTensor
  );
  const outputs = tf.layers.add().apply(pooled) as tf.SymbolicTensor;
  const model = tf.model({ inputs: sides, outputs });
  const capture = new ModelCapture(model);
  const inputs = [tf.ones([2, 4, 4, 1]), tf.ones([2, 5, 5, 1])];
  const before = numTensors();
  throws(
    () =>
      capture.statistics(() => tf.mean(model.apply(inputs) as tf.Tensor), { fisher: "empirical" }),
    /"shared" .*one size: \[2, \d, \d, 1\] and \[2, \d, \d, 1\]; exclude it/,
  );
  equal(numTensors(), before);
});

Deno.test("the empirical scale is what was asked for", () => {
  const one = specimen("dense, relu");
  const capture = new ModelCapture(one.model);
  const scales = (["mean", "example", 2.5] as const).map((gradientScale) => {
    const request = { fisher: "empirical", gradientScale } as const;
    return [...capture.statistics(lossOf(one), request).layers.values()][0].gradientScale;
  });
  deepEqual(scales, [4, 1, 2.5]);
});
