/** A server process for a file of tests, and models small enough to train in a test. */
import * as tf from "@tensorflow/tfjs";
import {
  CurvatureOptimizer,
  type CurvatureOptions,
  CurvdClient,
  squaredError,
} from "@/trainer/mod.ts";
import { startServer } from "../sessions/server_process.ts";

/** Starts a server for the file that calls this; it ends with the file's tests. */
export async function served(): Promise<{ url: string; client: CurvdClient }> {
  await tf.setBackend("cpu");
  const server = await startServer(":memory:");
  Deno.test.afterAll(() => server.kill("SIGTERM"));
  return { url: server.url, client: new CurvdClient(server.url) };
}

/** 4-8-2 with tanh; the same weights for the same seed. */
export function smallNet(seed = 1): tf.Sequential {
  const kernel = (at: number) => tf.initializers.glorotUniform({ seed: 10 * seed + at });
  return tf.sequential({
    layers: [
      tf.layers.dense({
        units: 8,
        inputShape: [4],
        activation: "tanh",
        kernelInitializer: kernel(1),
      }),
      tf.layers.dense({ units: 2, kernelInitializer: kernel(2) }),
    ],
  });
}

/** Products and squares of normal inputs: 32 examples of 4 to 2. */
export function smallTask(examples = 32): { inputs: tf.Tensor; targets: tf.Tensor } {
  const inputs = tf.randomNormal([examples, 4], 0, 1, "float32", 5);
  const targets = tf.tidy(() => {
    const [a, b, c, d] = tf.split(inputs, 4, 1);
    return tf.concat([tf.mul(a, b), tf.square(tf.sub(c, d))], 1);
  });
  return { inputs, targets };
}

/** Steps of an optimizer on one batch, as losses; the model's weights move. */
export async function lossesOf(
  optimizer: CurvatureOptimizer,
  { inputs, targets }: { inputs: tf.Tensor; targets: tf.Tensor },
  steps: number,
): Promise<number[]> {
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    losses.push((await optimizer.step(inputs, targets)).loss);
  }
  return losses;
}

/** Options with which {@linkcode smallNet} trains well, but for what a test says. */
export function usual(options: Partial<CurvatureOptions> = {}): CurvatureOptions {
  return {
    loss: squaredError(),
    learningRate: 0.3,
    damping: 0.1,
    klClip: 0.05,
    refreshEvery: 5,
    ...options,
  };
}

/** Trains a new {@linkcode smallNet} and gives its losses; the session is ended. */
export async function trained(
  client: CurvdClient,
  options: Partial<CurvatureOptions>,
  steps = 30,
): Promise<number[]> {
  const model = smallNet();
  const task = smallTask();
  const optimizer = new CurvatureOptimizer(model, client, usual(options));
  const losses = await lossesOf(optimizer, task, steps);
  await optimizer.close();
  tf.dispose(task);
  model.dispose();
  return losses;
}

/** The largest distance of two curves, relative to the larger of each pair of points. */
export function apart(one: readonly number[], other: readonly number[]): number {
  return Math.max(
    ...one.map((value, at) => Math.abs(value - other[at]) / Math.max(value, other[at])),
  );
}
