/** The loop, its callbacks and data; and model.fit over the optimizer where that can work. */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import {
  CurvatureOptimizer,
  type DatasetBatch,
  fit,
  permutation,
  squaredError,
  type TrainerEvent,
} from "@/trainer/mod.ts";
import { served, smallNet, smallTask, usual } from "../served.ts";

const { client } = await served();
const loss = squaredError();

Deno.test("fit() trains with curvature, and with TensorFlow.js's own optimizers, by one loop", async () => {
  const task = smallTask(128);
  for (const which of ["curvature", "adam"]) {
    const model = smallNet();
    const optimizer = which === "adam"
      ? tf.train.adam(0.01)
      : new CurvatureOptimizer(model, client, usual());
    const before = tf.memory().numTensors;
    const { epoch, history, steps, seconds } = await fit(model, optimizer, task, {
      epochs: 4,
      batchSize: 32,
      loss,
      validation: task,
      metrics: {
        error: (outputs, targets) => tf.losses.absoluteDifference(targets, outputs) as tf.Scalar,
      },
    });
    deepEqual([epoch, steps], [[0, 1, 2, 3], 16]);
    ok(seconds > 0);
    ok(history.loss[3] < history.loss[0] && history.val_loss[3] < history.val_loss[0], which);
    deepEqual(Object.keys(history), ["loss", "val_loss", "val_error"]);
    if (optimizer instanceof CurvatureOptimizer) await optimizer.close();
    else ok(tf.memory().numTensors - before < 20); // Adam's own
  }
  tf.dispose(task);
});

Deno.test("TensorFlow.js's Adam is no CurvatureOptimizer, though its base class takes anything", () => {
  ok(!((tf.train.adam(1) as unknown) instanceof CurvatureOptimizer));
  const optimizer = new CurvatureOptimizer(smallNet(), client, usual());
  ok(optimizer instanceof CurvatureOptimizer);
  ok(optimizer instanceof tf.Optimizer);
  optimizer.dispose();
});

Deno.test("callbacks are called in TensorFlow.js's order, with the batch's loss and the step's figures", async () => {
  const task = smallTask(64);
  const model = smallNet();
  const optimizer = new CurvatureOptimizer(model, client, usual());
  const called: string[] = [];
  const note = (name: string) => (...args: unknown[]) => void called.push(`${name} ${args[0]}`);
  let logs: tf.Logs | undefined;
  await fit(model, optimizer, task, {
    epochs: 2,
    callbacks: [
      {
        onTrainBegin: () => void called.push("train begins"),
        onTrainEnd: () => void called.push("train ends"),
        onEpochBegin: note("epoch begins"),
        onEpochEnd: note("epoch ends"),
        onBatchBegin: note("batch begins"),
        onBatchEnd: note("batch ends"),
      },
      { onBatchEnd: (_, of) => void (logs = of) },
    ],
  });
  const batches = [0, 1].flatMap((at) => [`batch begins ${at}`, `batch ends ${at}`]);
  const epochs = [0, 1].flatMap((at) => [`epoch begins ${at}`, ...batches, `epoch ends ${at}`]);
  deepEqual(called, ["train begins", ...epochs, "train ends"]);
  deepEqual([logs!.batch, logs!.size, logs!.step], [1, 32, 3]);
  ok(logs!.loss > 0 && logs!.learningRate === 0.3 && (logs!.age as number) >= 0);
  await optimizer.close();
  tf.dispose(task);
});

Deno.test("earlyStopping, steps, seconds and a signal each end it", async () => {
  const task = smallTask(64);
  const stepsWith = async (options: Parameters<typeof fit>[3]) => {
    const model = smallNet();
    const { steps } = await fit(model, tf.train.sgd(0), task, { loss, epochs: 50, ...options });
    model.dispose();
    return steps;
  };
  // a rate of 0 never improves: stopped after the second epoch of two batches
  equal(await stepsWith({ callbacks: tf.callbacks.earlyStopping({ monitor: "loss" }) }), 4);
  equal(await stepsWith({ steps: 7 }), 7);
  ok(await stepsWith({ seconds: 1e-6 }) === 1);
  const leaving = new AbortController();
  await rejects(
    stepsWith({
      signal: leaving.signal,
      callbacks: { onBatchEnd: () => leaving.abort(new Error("enough")) },
    }),
    /enough/,
  );
  tf.dispose(task);
});

Deno.test("data sets and iterables give their own batches, tensors a new order each epoch", async () => {
  const model = smallNet();
  const task = smallTask(24);
  const sizes: number[] = [];
  const callbacks = {
    onBatchBegin: (_: number, logs?: tf.Logs) => void sizes.push(logs!.size as number),
  };
  const sgd = tf.train.sgd(1e-3);
  const dataset = tf.data.zip({
    xs: tf.data.array(task.inputs.arraySync() as number[][]),
    ys: tf.data.array(task.targets.arraySync() as number[][]),
  }).batch(10) as unknown as tf.data.Dataset<tf.TensorContainer>;
  await fit(model, sgd, dataset as never, { loss, callbacks });
  deepEqual(sizes.splice(0), [10, 10, 4]);
  await fit(model, sgd, batches(), { loss, callbacks });
  deepEqual(sizes.splice(0), [8, 8]);
  await fit(model, sgd, task, { loss, callbacks, batchSize: 9 });
  deepEqual(sizes.splice(0), [9, 9]);
  await rejects(fit(model, sgd, task, { loss, batchSize: 25 }), /batch of 25 from 24 examples/);

  const orders = [permutation(24, 1), permutation(24, 1), permutation(24, 2)];
  deepEqual(orders[0], orders[1]);
  ok(orders[0].some((value, at) => value !== orders[2][at]));
  deepEqual([...orders[0]].sort((a, b) => a - b), Array.from({ length: 24 }, (_, i) => i));

  function* batches(): Generator<DatasetBatch> {
    for (const at of [0, 8]) {
      yield {
        xs: tf.slice(task.inputs, [at, 0], [8, -1]),
        ys: tf.slice(task.targets, [at, 0], [8, -1]),
      };
    }
  }
  tf.dispose(task);
});

Deno.test("model.compile and model.fit train with curvature where nothing is to be waited for", async () => {
  const task = smallTask(128);
  const model = smallNet();
  const events: TrainerEvent[] = [];
  const optimizer = new CurvatureOptimizer(
    model,
    client,
    usual({
      loss: undefined,
      fisher: "empirical",
      asynchronous: true,
      onLate: "gradient",
      gradientRate: 0.01,
      onEvent: (event) => events.push(event),
    }),
  );
  model.compile({ optimizer, loss: "meanSquaredError" });
  const { history } = await model.fit(task.inputs, task.targets, {
    epochs: 12,
    batchSize: 32,
    verbose: 0,
    // steps of a net so small would be over before the server had answered once
    callbacks: { onBatchEnd: () => new Promise((resolve) => setTimeout(resolve, 20)) },
  });
  const losses = history.loss as number[];
  ok(losses.at(-1)! < 0.6 * losses[0], `${losses}`);
  ok(events.some(({ type }) => type === "refresh"));
  ok(optimizer.status.version > 0);
  equal(optimizer.iterations, 48);
  equal(optimizer.status.mode, "local"); // what auto comes to where nothing can be waited for
  await optimizer.close();
  tf.dispose(task);
});

Deno.test("minimize(), applyGradients() and so model.fit are refused where they would have to wait, saying what would do", () => {
  const task = smallTask();
  for (const options of [{}, { mode: "remote" }, { mode: "local", asynchronous: true }] as const) {
    const model = smallNet();
    const optimizer = new CurvatureOptimizer(model, client, usual(options));
    const lossOf = () => loss.loss(task.targets, model.apply(task.inputs) as tf.Tensor);
    const before = tf.memory().numTensors;
    const message = /need mode "local" with asynchronous: true and onLate "stale" or "gradient"/;
    throws(() => optimizer.minimize(lossOf), { name: "RangeError", message });
    throws(() => tf.tidy(() => optimizer.applyGradients(tf.variableGrads(lossOf).grads)), {
      message,
    });
    equal(tf.memory().numTensors, before);
    optimizer.dispose();
  }
  tf.dispose(task);
});
