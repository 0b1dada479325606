/** The ratio of roots on WebGPU: the operations' values, and 1 where there is no ratio. */
import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { dispose, tensor1d } from "@tensorflow/tfjs-core";
import { rootRatio } from "@/linalg/mod.ts";
import { gpuTest } from "../support/gpu.ts";

gpuTest("rootRatio() is √a/√b, and 1 where that is zero or not finite", async (engine) => {
  const pairs = [
    [4, 16, 0.5],
    [1e38, 1e-38, 1e38], // a/b overflows, the roots do not
    [0, 1, 1],
    [1, 0, 1],
    [0, 0, 1],
    [-1, 1, 1],
    [NaN, 1, 1],
    [Infinity, 1, 1],
    [1, Infinity, 1],
  ];
  const [a, b] = [0, 1].map((side) => tensor1d(pairs.map((pair) => pair[side])));
  const ratio = rootRatio(a, b);
  const [found] = await engine.read([ratio]);
  dispose([a, b, ratio]);
  deepEqual(
    [...found].map((value) => value.toPrecision(6)),
    pairs.map(([, , wanted]) => wanted.toPrecision(6)),
  );
});
