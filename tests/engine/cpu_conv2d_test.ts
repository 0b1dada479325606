/** Convolutions by matrix products, against TensorFlow.js's own loops. */
import {
  add,
  conv2d,
  dispose,
  engine as tfEngine,
  fused,
  grads,
  relu,
  slice,
  sum,
  type Tensor,
  tensor,
  type Tensor4D,
  tensor4d,
  tidy,
} from "@tensorflow/tfjs"; // with gradients, which the core alone has not
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import { originalKernel } from "@/engine/cpu/kernels/kernel.ts";
import { libraryTest } from "../support/libraries.ts";
import { gaussian } from "../support/matrices.ts";

function random(shape: number[], seed: number): Tensor4D {
  return tensor4d(gaussian(shape, seed), shape as [number, number, number, number]);
}

/** What TensorFlow.js's own kernel answers. */
async function original(
  name: string,
  inputs: Record<string, Tensor>,
  attrs: Record<string, unknown>,
): Promise<{ shape: number[]; values: Float32Array }> {
  const backend = tfEngine().backend;
  const info = originalKernel(name)({ inputs, backend, attrs } as never) as Tensor;
  const values = Float32Array.from(await backend.read(info.dataId) as Float32Array);
  backend.disposeData(info.dataId);
  return { shape: info.shape, values };
}

/** Equal to the rounding of sums of `terms` products of numbers near 1. */
async function agree(
  found: Tensor,
  expected: { shape: number[]; values: Float32Array },
  terms: number,
): Promise<void> {
  deepEqual(found.shape, expected.shape);
  const values = await found.data();
  expected.values.forEach((value, at) => {
    const error = Math.abs(values[at] - value);
    ok(error <= 1e-6 * (terms + 10), `${values[at]} at ${at}, expected ${value}`);
  });
}

const convolutions = fc.record({
  n: fc.integer({ min: 1, max: 3 }),
  image: fc.tuple(fc.integer({ min: 3, max: 8 }), fc.integer({ min: 3, max: 8 })),
  kernel: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  channels: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
  strides: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  pad: fc.constantFrom<("same" | "valid")[]>("same", "valid"),
});

libraryTest(
  "Conv2D and its gradients are those of TensorFlow.js for any stride and padding",
  async () => {
    await fc.assert(
      fc.asyncProperty(convolutions, async ({ n, image, kernel, channels, strides, pad }) => {
        const x = random([n, ...image, channels[0]], 1);
        const filter = random([...kernel, ...channels], 2);
        const attrs = { strides, pad, dataFormat: "NHWC", dilations: [1, 1] };
        const y = conv2d(x, filter, strides, pad);
        const terms = kernel[0] * kernel[1] * channels[0];
        await agree(y, await original("Conv2D", { x, filter }, attrs), terms);

        const dy = random(y.shape, 3);
        const [dx, dw] = grads((x, filter) =>
          conv2d(x as Tensor4D, filter as Tensor4D, strides, pad)
        )(
          [x, filter],
          dy,
        );
        const inputShape = x.shape, filterShape = filter.shape;
        const ofInput = await original("Conv2DBackpropInput", { dy, filter }, {
          ...attrs,
          inputShape,
        });
        const ofFilter = await original("Conv2DBackpropFilter", { x, dy }, {
          ...attrs,
          filterShape,
        });
        await agree(dx, ofInput, terms * channels[1]);
        await agree(dw, ofFilter, y.size);
        dispose([x, filter, y, dy, dx, dw]);
      }),
      { numRuns: 60 },
    );
  },
);

libraryTest("a dilated Conv2D is that of TensorFlow.js", async () => {
  const x = random([2, 9, 8, 3], 1), filter = random([3, 2, 3, 4], 2);
  const y = conv2d(x, filter, 1, "same", "NHWC", [2, 3]);
  const attrs = { strides: [1, 1], pad: "same", dataFormat: "NHWC", dilations: [2, 3] };
  await agree(y, await original("Conv2D", { x, filter }, attrs), 18);
  dispose([x, filter, y]);
});

libraryTest("more images than are taken at once are all convolved", async () => {
  // 64 × 64 locations of 5 × 5 × 40 values: the patches of one image fill the matrix
  const x = random([3, 64, 64, 40], 1), filter = random([5, 5, 40, 1], 2);
  const y = conv2d(x, filter, 1, "same");
  const each = tidy(() =>
    [0, 1, 2].map((at) => sum(conv2d(slice(x, [at], [1]), filter, 1, "same")))
  );
  const totals = tidy(() => [0, 1, 2].map((at) => sum(slice(y, [at], [1]))));
  for (const at of [0, 1, 2]) {
    const [whole, alone] = [(await totals[at].data())[0], (await each[at].data())[0]];
    ok(Math.abs(whole - alone) <= 1e-5 * Math.abs(alone) + 1e-3, `${whole}, alone ${alone}`);
  }
  dispose([x, filter, y, ...each, ...totals]);
}, ["blas"]);

libraryTest("fused.conv2d() is the convolution, its bias, its activation", async () => {
  const x = random([2, 6, 5, 3], 1), filter = random([3, 3, 3, 4], 2);
  const bias = tensor(gaussian([4], 3));
  const found = fused.conv2d({ x, filter, strides: 2, pad: "same", bias, activation: "relu" });
  const expected = tidy(() => relu(add(conv2d(x, filter, 2, "same"), bias)));
  deepEqual(await found.data(), await expected.data());
  dispose([x, filter, bias, found, expected]);
});
