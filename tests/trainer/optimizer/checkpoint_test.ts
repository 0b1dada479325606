/** Optimizer and session in one file. */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { CurvatureOptimizer, type CurvatureOptions } from "@/trainer/mod.ts";
import { decodeSafetensors } from "@/wire/documents.ts";
import { lossesOf, served, smallNet, smallTask, usual } from "../served.ts";

const { client } = await served();

for (
  const options of [
    { mode: "remote", momentum: 0.9 },
    { mode: "local", momentum: 0.9, statisticsEvery: 2, refreshEvery: 4 },
    { stepSize: "quadratic_model", damping: { rule: "levenberg_marquardt", value: 1 } },
  ] satisfies Partial<CurvatureOptions>[]
) {
  Deno.test(`${JSON.stringify(options)}: training goes on from a checkpoint as if it had never stopped`, async () => {
    const model = smallNet();
    const task = smallTask();
    const make = () => new CurvatureOptimizer(model, client, usual({ klClip: null, ...options }));
    const first = make();
    await lossesOf(first, task, 7);
    const file = await first.save();
    const weights = model.getWeights().map((weight) => weight.clone());
    const [status, onward] = [first.status, await lossesOf(first, task, 8)];
    await first.close();

    model.setWeights(weights);
    const second = make();
    await second.load(file);
    equal(second.status.step, 7);
    equal(second.status.damping, status.damping);
    deepEqual(await lossesOf(second, task, 8), onward);
    equal(second.iterations, 15);
    await second.close();
    tf.dispose([task, weights]);
  });
}

Deno.test("the file is safetensors, with the session's tensors and the velocities by name", async () => {
  const model = smallNet();
  const task = smallTask();
  const optimizer = new CurvatureOptimizer(model, client, usual({ momentum: 0.9, mode: "remote" }));
  await lossesOf(optimizer, task, 2);
  const before = tf.memory().numTensors;
  const { metadata, tensors } = decodeSafetensors(await optimizer.save());
  equal(tf.memory().numTensors, before);
  const [layer] = model.layers;
  ok(tensors.has(`session/${layer.name}.average.A`));
  const [kernel] = layer.trainableWeights;
  deepEqual(tensors.get(`optimizer/${kernel.name}/momentum`)!.shape, [4, 8]);
  equal(JSON.parse(metadata.get("optimizer")!).step, 2);
  await optimizer.close();
  tf.dispose(task);
});

Deno.test("a stranger's file and another method's checkpoint are refused, and nothing has moved", async () => {
  const model = smallNet();
  const task = smallTask();
  const make = (method: "kfac" | "ekfac") =>
    new CurvatureOptimizer(model, client, usual({ method, mode: "remote" }));
  const [kfac, ekfac] = [make("kfac"), make("ekfac")];
  await lossesOf(kfac, task, 1);
  await lossesOf(ekfac, task, 1);
  await rejects(ekfac.load(await kfac.save()), {
    name: "RangeError",
    message: /of kfac .* of ekfac/,
  });
  const session = await client.session(kfac.status.session!).checkpoint();
  await rejects(kfac.load(session), { name: "RangeError", message: /no checkpoint of a Curv/ });
  await lossesOf(ekfac, task, 1);
  equal(ekfac.status.step, 2);
  await Promise.all([kfac.close(), ekfac.close()]);
  tf.dispose(task);
});

Deno.test("getWeights() and setWeights() carry steps and velocities, as TensorFlow.js's optimizers do", async () => {
  const model = smallNet();
  const task = smallTask();
  const make = () =>
    new CurvatureOptimizer(model, client, usual({ momentum: 0.9, mode: "remote" }));
  const [one, other] = [make(), make()];
  await lossesOf(one, task, 3);
  const weights = await one.getWeights();
  deepEqual(weights.map(({ name }) => name), [
    "iter",
    ...model.trainableWeights.map(({ name }) => `${name}/momentum`),
  ]);
  await other.setWeights(weights);
  equal(other.iterations, 3);
  const copied = await other.getWeights();
  deepEqual(
    copied.map(({ tensor }) => tensor.dataSync()),
    weights.map(({ tensor }) => tensor.dataSync()),
  );
  await Promise.all([one.close(), other.close()]);
  tf.dispose(task);
});
