import {
  add,
  concat,
  dispose,
  div,
  engine as tfEngine,
  fused,
  matMul,
  maximum,
  mean,
  memory,
  minimum,
  mul,
  pad,
  slice,
  slice_util,
  stridedSlice,
  sub,
  sum,
  type Tensor,
  tensor,
  type Tensor2D,
  type Tensor3D,
  tidy,
  transpose,
  where,
} from "@tensorflow/tfjs-core";
import { deepStrictEqual as deepEqual, ok, strictEqual as equal, throws } from "node:assert/strict";
import fc from "fast-check";
import { originalKernel } from "@/engine/cpu/kernels/kernel.ts";
import { gram, outer, sandwich, symmetricProduct } from "@/linalg/matrix.ts";
import { libraryTest } from "../support/libraries.ts";
import { gaussian, symmetricFactors } from "../support/matrices.ts";
import { reference } from "../support/reference.ts";

/** What TensorFlow.js's own kernel answers. */
async function original(
  name: string,
  inputs: Record<string, Tensor>,
  attrs = {},
): Promise<Float32Array> {
  const backend = tfEngine().backend;
  const info = originalKernel(name)({ inputs, backend, attrs } as never) as Tensor;
  const values = Float32Array.from(await backend.read(info.dataId) as Float32Array);
  backend.disposeData(info.dataId);
  return values;
}

function random(shape: number[], seed: number): Tensor {
  return tensor(gaussian(shape, seed), shape, "float32");
}

/** Two shapes that broadcast: each axis is full in both, or 1 in one of them; one may lack leading axes. */
const broadcastShapes = fc.array(
  fc.tuple(fc.integer({ min: 1, max: 5 }), fc.constantFrom("both", "left", "right")),
  { minLength: 0, maxLength: 4 },
).chain((axes) =>
  fc.record({
    left: fc.constant(axes.map(([size, side]) => side === "right" ? 1 : size)),
    right: fc.constant(axes.map(([size, side]) => side === "left" ? 1 : size)),
    dropped: fc.integer({ min: 0, max: axes.length }),
  })
).map(({ left, right, dropped }) => ({
  left,
  right: right.slice(0, dropped).every((size) => size === 1) ? right.slice(dropped) : right,
}));

const BINARY = {
  Add: add,
  Sub: sub,
  Multiply: mul,
  RealDiv: div,
  Maximum: maximum,
  Minimum: minimum,
};

for (const [name, operation] of Object.entries(BINARY)) {
  libraryTest(`${name} gives the bits of TensorFlow.js for any broadcast`, async () => {
    await fc.assert(
      fc.asyncProperty(broadcastShapes, async ({ left, right }) => {
        const a = random(left, 1), b = random(right, 2);
        const c = operation(a, b);
        deepEqual(await c.data(), await original(name, { a, b }));
        dispose([a, b, c]);
      }),
      { numRuns: 60 },
    );
  }, ["built-in"]);
}

libraryTest("Add of integers is left to TensorFlow.js", async () => {
  const c = tidy(() => add(tensor([1, 2], [2], "int32"), tensor([3, 4], [2], "int32")));
  equal(c.dtype, "int32");
  deepEqual([...await c.data()], [4, 6]);
  c.dispose();
}, ["built-in"]);

libraryTest("slice() cuts out what TensorFlow.js cuts out", async () => {
  const box = fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 4 }), fc.nat(3)), {
    minLength: 1,
    maxLength: 4,
  });
  await fc.assert(
    fc.asyncProperty(box, async (axes) => {
      const shape = axes.map(([before, size, after]) => before + size + after);
      const begin = axes.map(([before]) => before), size = axes.map(([, each]) => each);
      const x = random(shape, 3);
      const cut = slice(x, begin, size);
      deepEqual(await cut.data(), await original("Slice", { x }, { begin, size }));
      dispose([x, cut]);
    }),
    { numRuns: 60 },
  );
}, ["built-in"]);

libraryTest("stridedSlice() takes what TensorFlow.js takes, forwards and backwards", async () => {
  const axes = fc.array(
    fc.record({
      size: fc.integer({ min: 1, max: 6 }),
      from: fc.nat(5),
      to: fc.nat(6),
      stride: fc.constantFrom(1, 2, 3, -1, -2),
    }),
    { minLength: 1, maxLength: 4 },
  );
  const masks = fc.record({ beginMask: fc.nat(15), endMask: fc.nat(15) });
  await fc.assert(
    fc.asyncProperty(axes, masks, async (axes, { beginMask, endMask }) => {
      const x = random(axes.map(({ size }) => size), 5);
      const begin = axes.map(({ size, from }) => Math.min(from, size - 1));
      const end = axes.map(({ to }) => to), strides = axes.map(({ stride }) => stride);
      const info = slice_util.sliceInfo(x.shape, begin, end, strides, beginMask, endMask, 0, 0, 0);
      const isEmpty = info.finalShapeSparse.includes(0);
      if (isEmpty) x.dispose();
      fc.pre(!isEmpty); // TensorFlow.js's own fails there
      const taken = stridedSlice(x, begin, end, strides, beginMask, endMask);
      const attrs = { begin, end, strides, beginMask, endMask };
      const rest = { ellipsisMask: 0, newAxisMask: 0, shrinkAxisMask: 0 };
      deepEqual(await taken.data(), await original("StridedSlice", { x }, { ...attrs, ...rest }));
      dispose([x, taken]);
    }),
    { numRuns: 100 },
  );
}, ["built-in"]);

libraryTest("pad() frames as TensorFlow.js does", async () => {
  const frame = fc.array(
    fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 4 }), fc.nat(3)),
    { minLength: 1, maxLength: 4 },
  );
  await fc.assert(
    fc.asyncProperty(frame, fc.constantFrom(0, -1.5), async (axes, constantValue) => {
      const x = random(axes.map(([, size]) => size), 6);
      const paddings = axes.map(([before, , after]) => [before, after] as [number, number]);
      const padded = pad(x, paddings, constantValue);
      deepEqual(await padded.data(), await original("PadV2", { x }, { paddings, constantValue }));
      dispose([x, padded]);
    }),
    { numRuns: 60 },
  );
}, ["built-in"]);

for (const [name, operation] of Object.entries({ Sum: sum, Mean: mean })) {
  libraryTest(`${name} agrees with TensorFlow.js over any axes`, async () => {
    const cases = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 })
      .chain((shape) =>
        fc.record({
          shape: fc.constant(shape),
          axis: fc.subarray(shape.map((_, at) => at), { minLength: 1 }),
        })
      );
    await fc.assert(
      fc.asyncProperty(cases, async ({ shape, axis }) => {
        const x = random(shape, 4);
        const total = operation(x, axis, true);
        const expected = await original(name, { x }, { axis, keepDims: true });
        deepEqual(total.shape, shape.map((size, at) => axis.includes(at) ? 1 : size));
        const values = await total.data();
        expected.forEach((value, at) => ok(Math.abs(values[at] - value) <= 1e-5 * shape.length));
        dispose([x, total]);
      }),
      { numRuns: 60 },
    );
  }, ["built-in"]);
}

libraryTest("sum() of a million equal numbers does not drift", async () => {
  const total = tidy(() => sum(tensor(new Float32Array(2 ** 20).fill(0.1), [2 ** 20])));
  ok(Math.abs((await total.data())[0] / (2 ** 20 * Math.fround(0.1)) - 1) < 1e-7);
  total.dispose();
}, ["built-in"]);

libraryTest(
  "where() takes from the first where the condition holds and from the second elsewhere",
  async () => {
    const chosen = tidy(() =>
      where(tensor([1, 0, 1], [3], "bool"), tensor([1, 2, 3]), tensor([-1, -2, -3]))
    );
    deepEqual([...await chosen.data()], [1, -2, 3]);
    chosen.dispose();
  },
  ["built-in"],
);

libraryTest("transpose() turns each matrix of a batch, at the edges of its tile too", async () => {
  for (const [rows, columns] of [[1, 1], [31, 32], [33, 65], [1, 70], [70, 1]]) {
    const x = random([2, rows, columns], 5);
    const turned = transpose(x, [0, 2, 1]);
    deepEqual(await turned.data(), await original("Transpose", { x }, { perm: [0, 2, 1] }));
    dispose([x, turned]);
  }
}, ["built-in"]);

libraryTest(
  "matMul() agrees with float64 for all transpositions and broadcast batches",
  async () => {
    const side = fc.integer({ min: 1, max: 70 });
    const cases = fc.record({
      m: side,
      k: side,
      n: side,
      transposeA: fc.boolean(),
      transposeB: fc.boolean(),
      batches: fc.constantFrom([[], []], [[3], [3]], [[1], [2]], [[3], []], [[2, 1], [2]]),
    });
    await fc.assert(
      fc.asyncProperty(
        cases,
        async ({ m, k, n, transposeA, transposeB, batches: [batchA, batchB] }) => {
          const a = random([...batchA, ...(transposeA ? [k, m] : [m, k])], 6);
          const b = random([...batchB, ...(transposeB ? [n, k] : [k, n])], 7);
          const c = matMul(a, b, transposeA, transposeB);
          const values = await c.data();
          const [first, second] = [await a.data(), await b.data()];
          const leading = c.shape.slice(0, -2);
          for (let at = 0; at < c.size / (m * n); at++) {
            const expected = reference.matMul(
              Float64Array.from(
                first.subarray(m * k * indexIn(batchA, leading, at)).slice(0, m * k),
              ),
              Float64Array.from(
                second.subarray(k * n * indexIn(batchB, leading, at)).slice(0, k * n),
              ),
              { m, k, n, transposeA, transposeB },
            );
            expected.forEach((value, i) =>
              ok(
                Math.abs(values[at * m * n + i] - value) <= 2e-6 * k,
                `${values[at * m * n + i]} for ${value}`,
              )
            );
          }
          dispose([a, b, c]);
        },
      ),
      { numRuns: 30 },
    );
  },
);

/** Which matrix of an operand meets matrix `at` of the broadcast batch. */
function indexIn(own: readonly number[], leading: readonly number[], at: number): number {
  let index = 0;
  const offset = leading.length - own.length;
  const coordinates = leading.map((_, axis) =>
    Math.floor(at / leading.slice(axis + 1).reduce((x, y) => x * y, 1)) % leading[axis]
  );
  own.forEach((size, axis) => index = index * size + (size === 1 ? 0 : coordinates[axis + offset]));
  return index;
}

libraryTest("matMul() refuses inner sides that differ", () => {
  const before = memory().numTensors;
  tidy(() => throws(() => matMul(random([2, 3], 1), random([4, 2], 2)), /inner/));
  equal(memory().numTensors, before);
});

libraryTest("fused.matMul() adds the bias and applies the activation", async () => {
  const [a, b, bias] = [random([4, 3], 8), random([3, 5], 9), random([5], 10)];
  for (const activation of ["linear", "relu", "sigmoid", "elu", "relu6"] as const) {
    const fusedResult = fused.matMul({ a: a as never, b: b as never, bias, activation });
    const plain = tidy(() => add(matMul(a, b), bias));
    const name = {
      linear: "Identity",
      relu: "Relu",
      sigmoid: "Sigmoid",
      elu: "Elu",
      relu6: "Relu6",
    }[activation];
    deepEqual(await fusedResult.data(), await original(name, { x: plain }));
    dispose([fusedResult, plain]);
  }
  dispose([a, b, bias]);
});

libraryTest("gram() is symmetric to the bit and within 1e-6 of float64", async () => {
  for (const [n, d] of [[1, 1], [1, 7], [300, 33], [64, 130], [513, 64]]) {
    const x = random([2, n, d], n + d) as Tensor3D;
    const c = gram(x, 1 / n);
    const [values, given] = [await c.data(), await x.data()];
    for (let at = 0; at < 2; at++) {
      const own = Float64Array.from(given.slice(at * n * d, (at + 1) * n * d));
      const expected = reference.matMul(own, own, { m: d, k: n, n: d, transposeA: true });
      let largest = 0;
      for (let i = 0; i < d; i++) largest = Math.max(largest, expected[i * (d + 1)] / n);
      for (let i = 0; i < d; i++) {
        for (let j = 0; j < d; j++) {
          const value = values[at * d * d + i * d + j];
          equal(value, values[at * d * d + j * d + i]);
          ok(Math.abs(value - expected[i * d + j] / n) <= 1e-6 * largest);
        }
      }
    }
    dispose([x, c]);
  }
});

libraryTest(
  "symmetricProduct() is symmetric to the bit and near float64 in every form",
  async () => {
    for (const [d, k] of [[1, 1], [7, 1], [33, 300], [256, 9], [257, 64], [600, 5]]) {
      const { x, y } = symmetricFactors(d, k);
      for (const [transposeA, transposeB] of [[false, false], [false, true], [true, false]]) {
        const a = tensor(transposeA ? x.columns : x.rows, transposeA ? [2, k, d] : [2, d, k]);
        const b = tensor(transposeB ? y.rows : y.columns, transposeB ? [2, d, k] : [2, k, d]);
        const c = symmetricProduct(a as Tensor3D, b as Tensor3D, transposeA, transposeB);
        const values = await c.data();
        for (let at = 0; at < 2; at++) {
          const part = (all: Float32Array) => all.subarray(at * d * k, (at + 1) * d * k);
          const size = { m: d, k, n: d, transposeB: true };
          const expected = reference.matMul(part(x.rows), part(y.rows), size);
          for (let i = 0; i < d; i++) {
            for (let j = 0; j < d; j++) {
              const value = values[at * d * d + i * d + j];
              equal(value, values[at * d * d + j * d + i]);
              ok(Math.abs(value - expected[i * d + j]) <= 2e-6 * k, `${d} x ${k}: [${i}, ${j}]`);
            }
          }
        }
        dispose([a, b, c]);
      }
    }
  },
);

libraryTest("tensors of our kernels are freed with dispose()", async () => {
  const bytes = memory().numBytes;
  const result = tidy(() => {
    const x = random([8, 8], 1);
    return sum(concat([matMul(x, x), slice(mul(x, 2), [0, 1], [8, 3])], 1));
  });
  await result.data();
  result.dispose();
  equal(memory().numBytes, bytes);
});

libraryTest(
  "sandwich() is its products and its division to the bit, whatever was computed before",
  () => {
    for (const [b, r, c] of [[1, 3, 5], [2, 40, 33], [1, 2, 2], [3, 1, 4]]) {
      for (const transposed of [false, true]) tidy(() => expectSameBits(b, r, c, transposed));
    }
  },
);

function expectSameBits(b: number, r: number, c: number, transposed: boolean): void {
  const [L, V, R, u, v] = [[b, r, r], [b, r, c], [b, c, c], [b, r], [b, c]]
    .map((shape, seed) => random(shape, seed + 1));
  const [left, middle, right] = [L, V, R] as Tensor3D[];
  const pair = { u: u as Tensor2D, v: v as Tensor2D }, D = outer(pair.u, pair.v);
  const form = { transposeLeft: transposed, transposeRight: !transposed };
  const expected = (inner: Tensor3D) =>
    matMul(matMul(left, inner, transposed), right, false, !transposed).dataSync();
  const answered = (options = {}) =>
    sandwich(left, middle, right, { ...form, ...options }).dataSync();
  deepEqual(answered(), expected(middle));
  deepEqual(answered({ divisor: D, shift: 0.1 }), expected(div(middle, add(D, 0.1))));
  deepEqual(
    answered({ divisor: pair, shift: 1, floor: 0.05 }),
    expected(div(middle, maximum(add(D, 1), 0.05))),
  );
}

libraryTest("sandwich() refuses shapes that do not match", () => {
  const [square, wide] = [random([1, 3, 3], 1), random([1, 3, 4], 2)] as Tensor3D[];
  throws(() => sandwich(square, wide, square), /\[1,3,3\] must be \[1,4,4\]/);
  throws(() => sandwich(square, square, square, { divisor: wide }), /\[1,3,4\] must be/);
  dispose([square, wide]);
});
