/** The digits, the order they come in, and the net they train. */
import {
  deepStrictEqual as deepEqual,
  notDeepStrictEqual as notDeepEqual,
  ok,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import * as tf from "@tensorflow/tfjs";
import { batchOf, readIdx, testDigits, trainingDigits } from "../../src/demo/mnist.ts";
import { network, score } from "../../src/demo/network.ts";
import { readOptions } from "../../src/demo/options.ts";
import { shuffled } from "../../src/demo/shuffle.ts";

await tf.setBackend("cpu");

Deno.test("MNIST is whole: 60 000 and 10 000 digits, in the order LeCun gave them", () => {
  const training = trainingDigits(), test = testDigits();
  deepEqual([training.count, test.count], [60_000, 10_000]);
  deepEqual([...training.labels.subarray(0, 10)], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
  deepEqual([...test.labels.subarray(0, 5)], [7, 2, 1, 0, 4]);
  let sum = 0;
  for (const pixel of training.pixels) sum += pixel;
  const mean = sum / training.pixels.length / 255;
  ok(Math.abs(mean - 0.1307) < 5e-5, `mean pixel ${mean}, known as 0.1307`);
});

Deno.test("batchOf() gives the digits at the places asked for, scaled to 1", () => {
  const digits = testDigits();
  const { images, labels } = batchOf(digits, Uint32Array.of(3, 0));
  deepEqual([images.shape, labels.shape], [[2, 784], [2, 10]]);
  deepEqual([...labels.argMax(1).dataSync()], [0, 7]);
  const pixels = digits.pixels.subarray(3 * 784, 4 * 784);
  deepEqual(images.dataSync().slice(0, 784), Float32Array.from(pixels, (pixel) => pixel / 255));
});

Deno.test("readIdx() refuses another magic number, another rank, a file cut off", () => {
  const file = Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 2, 30, 40);
  deepEqual([...readIdx(file, 1)], [30, 40]);
  throws(() => readIdx(file, 3), /IDX bytes of rank 3/);
  throws(() => readIdx(Uint8Array.of(0, 0, 9, 1, 0, 0, 0, 0), 1), /IDX bytes of rank 1/);
  throws(() => readIdx(file.subarray(0, 9), 1), /Expected 2 values .* got 1/);
});

Deno.test("shuffled() is a permutation, the same for the same seed alone", () => {
  const order = shuffled(1000, 7);
  deepEqual([...order].sort((a, b) => a - b), Array.from({ length: 1000 }, (_, place) => place));
  deepEqual(order, shuffled(1000, 7));
  notDeepEqual(order, shuffled(1000, 8));
  const atHome = order.filter((place, at) => place === at).length;
  ok(atHome < 8, `${atHome} of 1000 stayed, 1 is expected`);
});

Deno.test("network() has the sizes it says, and first weights that follow from the seed", () => {
  const weights = (seed: number) => network(seed).getWeights().map((tensor) => tensor.dataSync());
  equal(network(1).countParams(), 785 * 128 + 129 * 64 + 65 * 10);
  deepEqual(weights(1), weights(1));
  notDeepEqual(weights(1)[0], weights(2)[0]);
});

Deno.test("score() of a net without preferences is log 10 and the share of its one answer", () => {
  const model = network(1);
  model.setWeights(model.getWeights().map((tensor) => tf.zerosLike(tensor)));
  const digits = testDigits();
  const { loss, accuracy } = score(model, batchOf(digits, shuffled(100, 0)));
  const zeros = digits.labels.subarray(0, 100).filter((label) => label === 0).length;
  ok(Math.abs(loss - Math.log(10)) < 1e-6);
  ok(Math.abs(accuracy - zeros / 100) < 1e-6);
});

Deno.test("readOptions() takes what the help names, with or without deno's --", () => {
  deepEqual(readOptions(["--", "--quick"]), {
    isQuick: true,
    server: undefined,
    wantsHelp: false,
  });
  equal(readOptions(["--server", "http://127.0.0.1:5322"]).server, "http://127.0.0.1:5322");
  throws(() => readOptions(["--fast"]), /Cannot use option "--fast"/);
  throws(() => readOptions(["--server"]), /Cannot use option "--server"/);
});
