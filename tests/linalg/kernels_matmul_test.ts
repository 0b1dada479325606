import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import {
  dispose,
  engine as tfjs,
  matMul,
  type Tensor,
  type Tensor3D,
  tensor3d,
} from "@tensorflow/tfjs-core";
import fc from "fast-check";
import type { WebGpuEngine } from "@/engine/mod.ts";
import "../../src/linalg/gram/gram_webgpu.ts";
import "../../src/linalg/matmul/batch_matmul_webgpu.ts";
import "../../src/linalg/matmul/symmetric_product_webgpu.ts";
import { symmetricProduct } from "@/linalg/matrix.ts";
import { gpuTest } from "../support/gpu.ts";
import { gaussian, symmetricFactors } from "../support/matrices.ts";
import { reference } from "../support/reference.ts";

const gram = (x: Tensor3D, scale: number) =>
  tfjs().runKernel("CurvdGram", { x }, { scale }) as Tensor;

/** Reads a tensor and lets it go. */
async function take(engine: WebGpuEngine, result: Tensor): Promise<Float32Array> {
  const [values] = await engine.read([result]);
  result.dispose();
  return values;
}

/** Largest error relative to `scale`, the size the sums would have without cancellation. */
function assertNear(actual: Float32Array, expected: Float64Array, scale: number, what: string) {
  let worst = 0;
  expected.forEach((value, i) => worst = Math.max(worst, Math.abs(value - actual[i])));
  ok(worst <= 2e-6 * scale, `${what}: error ${worst} at scale ${scale}`);
}

// A tiled kernel breaks at its edges: one, below a tile, a tile, above, several; tiles are 32, 64 and 128.
for (const d of [1, 2, 31, 32, 33, 65, 127, 128, 129, 257, 261]) {
  gpuTest(`CurvdGram matches the float64 product at width ${d}`, async (engine) => {
    const n = 37, x = gaussian([2, n, d], d);
    const input = tensor3d(x, [2, n, d]);
    const c = await take(engine, gram(input, 0.5));
    for (const group of [0, 1]) {
      const rows = x.subarray(group * n * d, (group + 1) * n * d);
      const expected = reference.matMul(rows, rows, { m: d, k: n, n: d, transposeA: true })
        .map((value) => value / 2);
      assertNear(c.subarray(group * d * d, (group + 1) * d * d), expected, n, `group ${group}`);
    }
    input.dispose();
  });
}

gpuTest("CurvdGram splits long sums and stays near float64", async (engine) => {
  const n = 5000, d = 20, x = gaussian([1, n, d], 3);
  const input = tensor3d(x, [1, n, d]);
  const c = await take(engine, gram(input, 1 / n));
  const expected = reference.matMul(x, x, { m: d, k: n, n: d, transposeA: true });
  assertNear(c, expected.map((value) => value / n), 1, "mean");
  input.dispose();
});

gpuTest("CurvdGram of no rows is zero", async (engine) => {
  const input = tensor3d([], [2, 0, 3]);
  deepEqual(await take(engine, gram(input, 1)), new Float32Array(18));
  input.dispose();
});

gpuTest(
  "CurvdGram is symmetric to the last bit and the same alone as in a batch",
  async (engine) => {
    const shapes = fc.record({
      n: fc.integer({ min: 1, max: 300 }),
      d: fc.integer({ min: 1, max: 140 }),
      seed: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(shapes, async ({ n, d, seed }) => {
        const x = gaussian([3, n, d], seed);
        const all = tensor3d(x, [3, n, d]), one = tensor3d(x.subarray(n * d, 2 * n * d), [1, n, d]);
        const batch = await take(engine, gram(all, 1 / n));
        const alone = await take(engine, gram(one, 1 / n));
        dispose([all, one]);
        deepEqual(batch.subarray(d * d, 2 * d * d), alone);
        for (let i = 0; i < d; i++) {
          for (let j = 0; j < i; j++) ok(Object.is(alone[i * d + j], alone[j * d + i]));
        }
      }),
      { numRuns: 15 },
    );
  },
);

for (const transposeA of [false, true]) {
  for (const transposeB of [false, true]) {
    gpuTest(
      `symmetricProduct() matches float64 with transposeA ${transposeA}, transposeB ${transposeB}`,
      async (engine) => {
        for (const [d, k] of [[1, 3], [33, 1], [65, 130], [260, 33]]) {
          const { x, y } = symmetricFactors(d, k);
          const a = tensor3d(transposeA ? x.columns : x.rows, transposeA ? [2, k, d] : [2, d, k]);
          const b = tensor3d(transposeB ? y.rows : y.columns, transposeB ? [2, d, k] : [2, k, d]);
          const c = await take(engine, symmetricProduct(a, b, transposeA, transposeB));
          for (const item of [0, 1]) {
            const part = (all: Float32Array) => all.subarray(item * d * k, (item + 1) * d * k);
            const own = c.subarray(item * d * d, (item + 1) * d * d);
            const size = { m: d, k, n: d, transposeB: true };
            assertNear(own, reference.matMul(part(x.rows), part(y.rows), size), k, `${d} x ${k}`);
            for (let i = 0; i < d; i++) {
              for (let j = 0; j < i; j++) ok(Object.is(own[i * d + j], own[j * d + i]));
            }
          }
          dispose([a, b]);
        }
      },
    );

    gpuTest(
      `matMul matches float64 with transposeA ${transposeA}, transposeB ${transposeB}`,
      async (engine) => {
        for (
          const [m, k, n] of [[32, 1, 33], [40, 7, 64], [65, 130, 32], [129, 33, 260], [
            300,
            9,
            300,
          ]]
        ) {
          const a = gaussian([m * k], 1), b = gaussian([2, k * n], 2);
          const left = tensor3d(a, transposeA ? [1, k, m] : [1, m, k]);
          const right = tensor3d(b, transposeB ? [2, n, k] : [2, k, n]);
          const c = await take(engine, matMul(left, right, transposeA, transposeB));
          for (const item of [0, 1]) { // the left operand is shared
            const expected = reference.matMul(a, b.subarray(item * k * n, (item + 1) * k * n), {
              m,
              k,
              n,
              transposeA,
              transposeB,
            });
            assertNear(c.subarray(item * m * n, (item + 1) * m * n), expected, k, `${m}x${k}x${n}`);
          }
          dispose([left, right]);
        }
      },
    );
  }
}

gpuTest("matMul leaves thin products to TensorFlow.js", async (engine) => {
  const a = gaussian([3 * 5], 1), b = gaussian([5 * 2], 2);
  const [left, right] = [tensor3d(a, [1, 3, 5]), tensor3d(b, [1, 5, 2])];
  const c = await take(engine, matMul(left, right));
  assertNear(c, reference.matMul(a, b, { m: 3, k: 5, n: 2 }), 5, "thin");
  dispose([left, right]);
});
