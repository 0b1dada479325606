/** Steps along given directions, against TensorFlow.js's own optimizers and the equations. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal, throws } from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { cosineDecay, exponentialDecay, linearDecay, piecewise, warmup } from "@/trainer/mod.ts";
import { Descent, type DescentSettings } from "../../../src/trainer/optimizer/descent.ts";

await tf.setBackend("cpu");

const PLAIN: DescentSettings = {
  momentum: 0,
  nesterov: false,
  weightDecay: 0,
  decay: "l2",
  decays: () => true,
};
const RATE = 0.1;
let names = 0;

/** A variable, and the directions of five steps. */
function course() {
  const theta = tf.variable(tf.tensor1d([1, -2, 3]), true, `course${names++}`);
  const directions = Array.from(
    { length: 5 },
    (_, step) => tf.randomNormal([3], 0, 1, "float32", 11 + step),
  );
  return { theta, directions };
}

function descended(settings: Partial<DescentSettings>): number[] {
  const { theta, directions } = course();
  const descent = new Descent(new Map([[theta.name, theta]]), { ...PLAIN, ...settings });
  for (const u of directions) descent.step({ updates: { [theta.name]: u }, rate: RATE });
  const values = [...theta.dataSync()];
  descent.dispose();
  tf.dispose([theta, directions]);
  return values;
}

/** What TensorFlow.js's optimizer makes of the same directions. */
function ofTensorFlow(optimizer: tf.Optimizer): number[] {
  const { theta, directions } = course();
  for (const u of directions) optimizer.applyGradients({ [theta.name]: u });
  const values = [...theta.dataSync()];
  tf.dispose([theta, directions]);
  optimizer.dispose();
  return values;
}

function close(actual: readonly number[], expected: readonly number[]): void {
  equal(actual.length, expected.length);
  ok(actual.every((value, i) => Math.abs(value - expected[i]) < 1e-5), `${actual} ${expected}`);
}

Deno.test("step() is TensorFlow.js's SGD, momentum and Nesterov momentum", () => {
  close(descended({}), ofTensorFlow(tf.train.sgd(RATE)));
  close(descended({ momentum: 0.9 }), ofTensorFlow(tf.train.momentum(RATE, 0.9)));
  close(
    descended({ momentum: 0.9, nesterov: true }),
    ofTensorFlow(tf.train.momentum(RATE, 0.9, true)),
  );
});

Deno.test("decoupled decay shrinks θ by ηβθ a step and leaves velocities alone", () => {
  const beta = 0.5;
  const { theta, directions } = course();
  let expected = [...theta.dataSync()];
  const velocity = [0, 0, 0];
  for (const u of directions) {
    u.dataSync().forEach((value, i) => velocity[i] = 0.9 * velocity[i] + value);
    expected = expected.map((value, i) => value * (1 - RATE * beta) - RATE * velocity[i]);
  }
  close(descended({ momentum: 0.9, weightDecay: beta, decay: "decoupled" }), expected);
  tf.dispose([theta, directions]);
});

Deno.test("an L2 penalty's gradient is βθ, its value β/2 ‖θ‖², of the variables that decay", async () => {
  const theta = tf.variable(tf.tensor1d([1, -2, 3]), true, "decaying");
  const bias = tf.variable(tf.tensor1d([10]), true, "kept");
  const descent = new Descent(new Map([["decaying", theta], ["kept", bias]]), {
    ...PLAIN,
    weightDecay: 0.5,
    decays: ({ name }) => name !== "kept",
  });
  const gradients = { decaying: tf.tensor1d([1, 1, 1]), kept: tf.tensor1d([4]) };
  const penalized = descent.penalized(gradients);
  close([...penalized.decaying.dataSync()], [1.5, 0, 2.5]);
  close([...penalized.kept.dataSync()], [4]);
  close([await descent.penalty()], [0.25 * 14]);
  tf.dispose([gradients, penalized, theta, bias]);
});

Deno.test("the quadratic model's step is δ = −αu + μδ₀, δ₀ that of the last", () => {
  const { theta, directions: [u, w, ...rest] } = course();
  const descent = new Descent(new Map([[theta.name, theta]]), PLAIN);
  const begin = theta.dataSync();
  descent.quadraticStep({ [theta.name]: u }, { alpha: 0.2, mu: 7 });
  const first = theta.dataSync();
  close([...first], [...begin].map((value, i) => value - 0.2 * u.dataSync()[i]));
  descent.quadraticStep({ [theta.name]: w }, { alpha: 0.3, mu: 0.5 });
  close(
    [...theta.dataSync()],
    [...first].map((value, i) => value - 0.3 * w.dataSync()[i] + 0.5 * (value - begin[i])),
  );
  descent.dispose();
  tf.dispose([theta, u, w, rest]);
});

Deno.test("velocities go out and come in by name; a stranger's is refused", () => {
  const { theta, directions } = course();
  const variables = new Map([[theta.name, theta]]);
  const [one, other] = [0, 1].map(() => new Descent(variables, { ...PLAIN, momentum: 0.9 }));
  one.step({ updates: { [theta.name]: directions[0] }, rate: RATE });
  const weights = one.weights();
  deepEqual(weights.map(({ name }) => name), [`${theta.name}/momentum`]);
  other.setWeights(weights);
  deepEqual(other.weights()[0].tensor.dataSync(), weights[0].tensor.dataSync());
  throws(
    () => other.setWeights([{ name: "elsewhere/momentum", tensor: directions[0] }]),
    /"elsewhere" as it is no trainable variable/,
  );
  one.dispose();
  other.dispose();
  tf.dispose([theta, directions]);
});

Deno.test("schedules are what they say at their ends and between", () => {
  const at = (schedule: (step: number) => number, steps: number[]) => steps.map(schedule);
  close(at(exponentialDecay(1, { rate: 0.5, steps: 10 }), [0, 10, 15]), [1, 0.5, 0.5 ** 1.5]);
  close(at(exponentialDecay(1, { rate: 0.5, steps: 10, staircase: true }), [9, 10, 19]), [
    1,
    0.5,
    0.5,
  ]);
  close(at(cosineDecay(1, 10, 0.2), [0, 5, 10, 99]), [1, 0.6, 0.2, 0.2]);
  close(at(linearDecay(1, 10), [0, 5, 10, 99]), [1, 0.5, 0, 0]);
  close(at(piecewise([1, 0.1, 0.01], [5, 8]), [0, 4, 5, 7, 8, 99]), [1, 1, 0.1, 0.1, 0.01, 0.01]);
  close(at(warmup(2, 4), [0, 1, 3, 4]), [0.5, 1, 2, 2]);
  throws(() => piecewise([1, 2], [3, 4]), RangeError);
  throws(() => piecewise([1, 2, 3], [4, 4]), RangeError);
});
