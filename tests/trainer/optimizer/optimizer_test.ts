/** The optimizer over a server: its modes train alike, and what goes with the direction is the papers'. */
import {
  deepStrictEqual as deepEqual,
  notStrictEqual as notEqual,
  ok,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import {
  CurvatureOptimizer,
  type CurvatureOptions,
  fit,
  ModelCapture,
  softmaxCrossEntropy,
  squaredError,
  type TrainerEvent,
} from "@/trainer/mod.ts";
import { readLayers } from "../../../src/trainer/optimizer/requests.ts";
import { apart, lossesOf, served, smallNet, smallTask, trained, usual } from "../served.ts";

const { client } = await served();

/** Methods whose updates are the same of one version, whoever makes them. */
for (const method of ["kfac", "tkfac", "kpsvd", "foof"] as const) {
  Deno.test(`${method}: remote and local give one training curve`, async () => {
    const options = { method, momentum: 0.5, weightDecay: 1e-3 };
    const remote = await trained(client, { ...options, mode: "remote" });
    const local = await trained(client, { ...options, mode: "local" });
    ok(remote.at(-1)! < 0.5 * remote[0], `it trains: ${remote}`);
    ok(apart(remote, local) < 1e-3, `${apart(remote, local)}`);
  });
}

for (const method of ["ekfac", "tekfac"] as const) {
  Deno.test(`${method}: remote and local give one curve where each batch of statistics brings a refresh`, async () => {
    const options = { method, statisticsEvery: 3, refreshEvery: 3 };
    const remote = await trained(client, { ...options, mode: "remote" });
    const local = await trained(client, { ...options, mode: "local" });
    ok(remote.at(-1)! < 0.5 * remote[0], `it trains: ${remote}`);
    ok(apart(remote, local) < 1e-3, `${apart(remote, local)}`);
  });
}

Deno.test("a warm-up refreshes more often in the first steps, remote as local", async () => {
  const warmup = { steps: 4, statisticsEvery: 1 };
  const curves = await Promise.all((["remote", "local"] as const).map(async (mode) => {
    const refreshed: number[] = [];
    const onEvent = (event: TrainerEvent) => {
      if (event.type === "refresh") refreshed.push(event.step);
    };
    const options = { mode, statisticsEvery: 3, refreshEvery: 6, warmup, onEvent };
    const losses = await trained(client, options);
    deepEqual(refreshed.slice(0, 4), [0, 2, 4, 10]);
    return losses;
  }));
  ok(apart(curves[0], curves[1]) < 1e-3, `${apart(curves[0], curves[1])}`);
});

for (const method of ["kfac_tridiagonal", "kfac_two_level", "shampoo", "soap"] as const) {
  Deno.test(`${method} trains by the server, and by it alone`, async () => {
    const options = method === "soap"
      ? { method, damping: 1e-8, learningRate: 0.03, klClip: null, refreshEvery: 100 }
      : method === "shampoo"
      ? { method, damping: 1e-2, klClip: null }
      : { method };
    const model = smallNet();
    const task = smallTask(256);
    const optimizer = new CurvatureOptimizer(model, client, usual(options));
    const { history } = await fit(model, optimizer, task, { epochs: 8 });
    ok(history.loss.at(-1)! < 0.75 * history.loss[0], `${history.loss}`);
    await optimizer.close();
    tf.dispose(task);
    throws(
      () => new CurvatureOptimizer(smallNet(), client, usual({ ...options, mode: "local" })),
      { name: "RangeError", message: new RegExp(`mode local cannot apply ${method}`) },
    );
  });
}

for (const mode of ["remote", "local"] as const) {
  Deno.test(`${mode}: asynchronous training with delay 0 is synchronous training`, async () => {
    const synchronous = await trained(client, { mode });
    const asynchronous = await trained(client, { mode, asynchronous: true, maxDelay: 0 });
    deepEqual(asynchronous, synchronous);
  });

  Deno.test(`${mode}: asynchronous training with a delay uses no preconditioner that is later than that`, async () => {
    const events: TrainerEvent[] = [];
    const losses = await trained(client, {
      mode,
      asynchronous: true,
      maxDelay: 3,
      onEvent: (event) => events.push(event),
    });
    const steps = events.filter((event) => event.type === "step");
    ok(losses.at(-1)! < 0.6 * losses[0], `${losses}`);
    ok(steps.every(({ direction }) => direction === "curvature"));
    ok(steps.every(({ delay }) => delay < 3), steps.map(({ delay }) => delay).join());
    ok(steps.every(({ age }) => age < 5 + 3), steps.map(({ age }) => age).join());
  });
}

Deno.test("fifty steps of each mode leave no tensor behind but the model's", async () => {
  const task = smallTask();
  const forms: Partial<CurvatureOptions>[] = [
    { mode: "remote", momentum: 0.9 },
    { mode: "local", momentum: 0.9, weightDecay: 0.01, nesterov: true },
    { mode: "local", asynchronous: true, maxDelay: 5, onLate: "gradient" },
    { mode: "auto", decay: "decoupled", weightDecay: 0.01 },
    { stepSize: "quadratic_model", klClip: null },
  ];
  for (const form of forms) {
    const model = smallNet();
    const before = tf.memory().numTensors;
    const optimizer = new CurvatureOptimizer(model, client, usual(form));
    await lossesOf(optimizer, task, 10);
    await settled();
    const after10 = tf.memory().numTensors;
    await lossesOf(optimizer, task, 40);
    await optimizer.save();
    equal(tf.memory().numTensors, after10, `between steps: ${JSON.stringify(form)}`);
    await optimizer.close();
    equal(tf.memory().numTensors, before, `after close: ${JSON.stringify(form)}`);
    model.dispose();
  }
  tf.dispose(task);

  /** Jobs of asynchronous training end. */
  function settled() {
    return new Promise((resolve) => setTimeout(resolve, 200));
  }
});

Deno.test("a step is θ ← θ − ηU, U being what the session answers for the gradient of the batch", async () => {
  const model = smallNet();
  const task = smallTask();
  const [rate, id] = [0.2, "one-step"];
  const learningRate = (step: number) => rate / (1 + step);
  const optimizer = new CurvatureOptimizer(model, client, usual({ learningRate, session: { id } }));
  const capture = new ModelCapture(model);
  const { loss, gradients } = capture.gradients(() =>
    squaredError().loss(task.targets, model.apply(task.inputs) as tf.Tensor)
  );
  const ofBlocks = new Map(capture.blocks.map((of) => [of.name, of.gradientOf(gradients)!]));
  const { layers } = await readLayers(capture.blocks, null, ofBlocks);
  const theta = model.getWeights().map((weight) => weight.dataSync());

  const report = await optimizer.step(task.inputs, task.targets);
  deepEqual([report.loss, report.learningRate, report.version], [loss.dataSync()[0], rate, 1]);
  const session = client.session(id);
  const request = { layers, learning_rate: rate } as Parameters<typeof session.updates>[0];
  const answer = await session.updates(request);
  ok(Math.abs(answer.kl_clip_factor! - report.klFactor!) < 1e-6 && report.klFactor! < 1);
  const U = capture.blocks.flatMap(({ name }) => {
    const { update, bias_update } = answer.layers[name];
    return [update.data, bias_update!.data];
  });
  model.getWeights().forEach((weight, at) => {
    const moved = weight.dataSync();
    ok(U[at].every((u, i) => Math.abs(moved[i] - (theta[at][i] - rate * u)) < 1e-5));
    ok(U[at].some((u) => Math.abs(u) > 1e-3));
  });
  equal((await session.inspect()).revision, 1);
  await optimizer.close();
  await rejects(session.inspect(), { code: "not-found" });
  tf.dispose([task, loss, gradients, [...ofBlocks.values()].map((each) => ({ ...each }))]);
});

Deno.test("a layer without a block takes the plain gradient at its own rate", async () => {
  const uncovered: string[] = [];
  const model = smallNet();
  const task = smallTask();
  const [first] = model.layers;
  const optimizer = new CurvatureOptimizer(
    model,
    client,
    usual({
      exclude: [first.name],
      gradientRate: 0.01,
      onUncovered: ({ name }) => uncovered.push(name),
    }),
  );
  deepEqual(uncovered, [first.name]);
  const kernel = first.trainableWeights[0].read() as tf.Variable;
  const [expected] = tf.tidy(() => {
    const { grads } = tf.variableGrads(
      () => squaredError().loss(task.targets, model.apply(task.inputs) as tf.Tensor),
      [kernel],
    );
    return [tf.sub(kernel, tf.mul(grads[kernel.name], 0.01)).dataSync()];
  });
  await optimizer.step(task.inputs, task.targets);
  const values = kernel.dataSync();
  ok(values.every((value, i) => Math.abs(value - expected[i]) < 1e-6));
  await optimizer.close();
  tf.dispose(task);
});

Deno.test("auto chooses after the first step, says why, and trains on as the mode it chose", async () => {
  const events: TrainerEvent[] = [];
  const losses = await trained(client, { mode: "auto", onEvent: (event) => events.push(event) });
  const chosen = events.filter((event) => event.type === "mode");
  equal(chosen.length, 1);
  ok(/\d ms locally, [\d.]+ ms by the server/.test(chosen[0].why), chosen[0].why);
  ok(apart(losses, await trained(client, { mode: chosen[0].mode })) < 1e-3);
});

Deno.test("the quadratic model's steps go down what they predict, and damping adapts to that", async () => {
  const events: TrainerEvent[] = [];
  const model = smallNet();
  const task = smallTask();
  const optimizer = new CurvatureOptimizer(model, client, {
    loss: squaredError(),
    learningRate: 1,
    stepSize: "quadratic_model",
    damping: { rule: "levenberg_marquardt", value: 1, every: 2 },
    weightDecay: 1e-4,
    onEvent: (event) => events.push(event),
  });
  const losses = await lossesOf(optimizer, task, 20);
  const steps = events.filter((event) => event.type === "step");
  ok(losses.at(-1)! < 0.2 * losses[0], `${losses}`);
  ok(steps.every(({ alpha, predictedChange }) => alpha! > 0 && predictedChange! < 0));
  ok(steps.slice(1).some(({ mu }) => mu !== 0));
  const dampings = events.filter((event) => event.type === "damping");
  equal(dampings.length, 10);
  notEqual(dampings.at(-1)!.damping, 1);
  equal(optimizer.status.damping, dampings.at(-1)!.damping);
  await optimizer.close();
  tf.dispose(task);
});

Deno.test("statistics of a batch's first examples are those of a batch of these", async () => {
  const [few, all] = [smallTask(8), smallTask(32)];
  const weightsAfter = async (task: typeof all, statisticsExamples: number | null) => {
    const model = smallNet();
    const optimizer = new CurvatureOptimizer(
      model,
      client,
      usual({
        fisher: "exact",
        statisticsExamples,
        session: { id: `first-${statisticsExamples}` },
      }),
    );
    await optimizer.step(task.inputs, task.targets);
    const { layers } = await client.session(`first-${statisticsExamples}`).factors();
    await optimizer.close();
    return layers as Record<string, Record<"A" | "G", { data: Float32Array }>>;
  };
  const [some, those] = [await weightsAfter(all, 8), await weightsAfter(few, null)];
  const [layer, other] = [Object.values(some)[1], Object.values(those)[1]];
  for (const side of ["A", "G"] as const) {
    ok(layer[side].data.every((value, i) => Math.abs(value - other[side].data[i]) < 1e-4));
  }
  tf.dispose([few, all]);
});

Deno.test("options that contradict each other are refused, saying how", () => {
  const refused: [Partial<CurvatureOptions>, RegExp][] = [
    [{ damping: undefined }, /damping is needed/],
    [
      { loss: (y, z) => tf.losses.meanSquaredError(y, z) as tf.Scalar },
      /fisher sampled needs a loss/,
    ],
    [{ damping: { rule: "levenberg_marquardt", value: 1 } }, /needs stepSize/],
    [{ stepSize: "quadratic_model", momentum: 0.9 }, /chooses the momentum itself/],
    [{ stepSize: "quadratic_model", mode: "local" }, /mode local cannot apply quadratic_model/],
    [{ statisticsEvery: 3, refreshEvery: 10 }, /10 must be a multiple of statisticsEvery 3/],
    [{ warmup: { steps: 2.5, statisticsEvery: 1 } }, /warmup.steps must be a whole number/],
    [
      { method: "soap", warmup: { steps: 4, statisticsEvery: 2 } },
      /soap moves with every gradient/,
    ],
    [{ momentum: 1 }, /momentum must be in \[0, 1\)/],
    [{ maxDelay: 3 }, /maxDelay is of asynchronous training/],
    [{ method: "soap", statisticsEvery: 2, refreshEvery: 2 }, /soap moves with every gradient/],
  ];
  for (const [options, message] of refused) {
    throws(
      () => new CurvatureOptimizer(smallNet(), client, usual(options)),
      { name: "RangeError", message },
    );
  }
});

Deno.test("a refusal of the server reaches the step that it is about, or the next", async () => {
  const model = smallNet();
  const task = smallTask();
  for (const asynchronous of [false, true]) {
    const optimizer = new CurvatureOptimizer(
      model,
      client,
      usual({
        mode: "local",
        asynchronous,
        session: { damping_rule: "factored" },
        method: "ekfac",
      }),
    );
    await rejects(lossesOf(optimizer, task, 2), { code: "unsupported" });
    optimizer.dispose();
  }
  tf.dispose(task);
});

Deno.test("an id that is taken is gone on with where the session is ours, and refused where it is not", async () => {
  const model = smallNet();
  const task = smallTask();
  const make = (options: Partial<CurvatureOptions>, of = model) =>
    new CurvatureOptimizer(
      of,
      client,
      usual({ mode: "remote", session: { id: "kept" }, ...options }),
    );
  const first = make({});
  await lossesOf(first, task, 3);
  await first.close({ keepSession: true });
  const second = make({ damping: 0.5 });
  await lossesOf(second, task, 2);
  const { revision, damping } = await client.session("kept").inspect();
  deepEqual([revision, damping], [3 + 1 + 2, 0.5]); // the patch is a change too
  for (const other of [make({ method: "ekfac" }), make({}, smallNet())]) {
    await rejects(other.step(task.inputs, task.targets), { code: "conflict" });
    other.dispose();
  }
  await second.close();
  tf.dispose(task);
});

Deno.test("a step that is refused leaves no tensor behind, and moves nothing", async () => {
  const model = smallNet();
  const task = smallTask();
  const optimizer = new CurvatureOptimizer(
    model,
    client,
    usual({ mode: "remote", session: { damping_rule: "exact" }, method: "kpsvd" }),
  );
  const before = [tf.memory().numTensors, model.getWeights()[0].dataSync()];
  for (let time = 0; time < 3; time++) {
    await rejects(optimizer.step(task.inputs, task.targets), { code: "unsupported" });
  }
  deepEqual([tf.memory().numTensors, model.getWeights()[0].dataSync()], before);
  equal(optimizer.status.step, 0);
  optimizer.dispose();
  tf.dispose(task);
});

Deno.test("a softmax classifier trains: sampled Fisher of probabilities", async () => {
  const model = tf.sequential({
    layers: [
      tf.layers.dense({
        units: 3,
        inputShape: [4],
        activation: "softmax",
        kernelInitializer: tf.initializers.glorotUniform({ seed: 3 }),
      }),
    ],
  });
  const inputs = tf.randomNormal([64, 4], 0, 1, "float32", 7);
  const targets = tf.tidy(() =>
    tf.oneHot(tf.argMax(tf.slice(inputs, [0, 0], [64, 3]), 1), 3).toFloat()
  );
  const optimizer = new CurvatureOptimizer(
    model,
    client,
    usual({ loss: softmaxCrossEntropy({ outputs: "probabilities" }), damping: 1e-2 }),
  );
  const losses = await lossesOf(optimizer, { inputs, targets }, 25);
  ok(losses.at(-1)! < 0.5 * losses[0], `${losses}`);
  await optimizer.close();
  tf.dispose([inputs, targets]);
});
