/** More than one dispatch, one loop or one float32 has room for: many matrices, long sums, the ends of the scale. */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import {
  dispose,
  matMul,
  slice,
  type Tensor,
  type Tensor3D,
  tensor3d,
} from "@tensorflow/tfjs-core";
import type { CurvdError } from "@/errors.ts";
import type { Engine, WebGpuEngine } from "@/engine/mod.ts";
import { gram, type Report, settle, type Stack, symmetricProduct } from "@/linalg/mod.ts";
import { submitProduct } from "../../src/linalg/matmul/whole_product_webgpu.ts";
import { sizeClasses } from "../../src/linalg/padded/padded_webgpu.ts";
import { gpuTest } from "../support/gpu.ts";
import { gaussian } from "../support/matrices.ts";

/** Positive semidefinite matrices `[b, d, d]`. */
function factors(b: number, d: number): Stack {
  const x = tensor3d(gaussian([b, d + 3, d], 1000 * b + d), [b, d + 3, d]);
  const M = gram(x, 1 / d);
  x.dispose();
  return M;
}

function inverses(
  engine: Engine,
  matrix: Stack,
): Promise<{ inverse: Float32Array; reports: readonly Report[] }> {
  return settle(engine, async (linalg) => {
    const [{ inverse, reports }] = await linalg.choleskyInverse([
      { name: "M", matrix, shift: 0.1 },
    ]);
    return { read: [inverse], keep: reports };
  }).then(({ arrays: [inverse], keep: reports }) => ({ inverse, reports }));
}

// one thread of lavapipe takes many members of a batch in one invocation, whose loops end at 65535 rounds
for (const [b, d] of [[96, 128], [1024, 9]]) {
  gpuTest(
    `each of ${b} inverses of side ${d} has the bits it has in a batch of its own`,
    async (engine) => {
      const M = factors(b, d);
      const { inverse, reports } = await inverses(engine, M);
      equal(reports.filter(({ engine }) => engine !== "webgpu").length, 0);
      const few = 4;
      for (let from = 0; from < b; from += Math.floor(b / 8)) {
        const count = Math.min(few, b - from);
        const part = slice(M, [from, 0, 0], [count, d, d]);
        const alone = await inverses(engine, part);
        part.dispose();
        deepEqual(
          inverse.subarray(from * d * d, (from + count) * d * d),
          alone.inverse,
          `${from} and those after it`,
        );
      }
      M.dispose();
    },
  );
}

Deno.test("no batch has more members than a dispatch has workgroups", () => {
  const limits = { maxStorageBufferBindingSize: 2 ** 31, maxComputeWorkgroupsPerDimension: 65535 };
  const engine = { device: { limits } } as unknown as WebGpuEngine;
  const matrix = { shape: [70_000, 2, 2] } as Stack;
  const members = Array.from({ length: 70_000 }, (_, index) => ({
    problem: null,
    matrix,
    index,
    shift: 0,
  }));
  const counts = sizeClasses(engine, members, () => 16).map(({ members }) => members.length);
  deepEqual(counts, [65535, 4465]);
});

/** Small whole numbers, whose sums of products float32 holds exactly. */
function digits(shape: [number, number, number], seed: number): Tensor3D {
  const size = shape[0] * shape[1] * shape[2];
  return tensor3d(
    Float32Array.from({ length: size }, (_, at) => (at * seed + (at >> 3)) % 3),
    shape,
  );
}

/** `XᵀY` of matrices in float64, row-major. */
function product(x: Float32Array, y: Float32Array, k: number): Float32Array {
  const m = x.length / k, n = y.length / k;
  const sums = new Float64Array(m * n);
  for (let t = 0; t < k; t++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) sums[i * n + j] += x[t * m + i] * y[t * n + j];
    }
  }
  return Float32Array.from(sums);
}

for (
  const [k, m, n] of [[70_000, 32, 32], [70_000, 64, 9], [70_000, 3, 2], [40_000, 1, 40], [
    300_000,
    8,
    8,
  ]]
) {
  gpuTest(`a product over ${k} rows, ${m} by ${n}, loses none of them`, async (engine) => {
    const x = digits([1, k, m], 5), y = digits([1, k, n], 7);
    const [xs, ys] = await engine.read([x, y]);
    const products = [
      matMul(x, y, true),
      ...(m === n ? [symmetricProduct(x, x, true), gram(x, 1)] : []),
    ] as Tensor[];
    const [whole, ...symmetric] = await engine.read(products);
    deepEqual(whole, product(xs, ys, k));
    for (const found of symmetric) deepEqual(found, product(xs, xs, k));
    dispose([x, y, ...products]);
  });
}

gpuTest(
  "a product of more matrices and parts than a dispatch has workgroups is whole",
  async (engine) => {
    const limited = { // 70000 workgroups of a software device take a quarter of a minute
      device: { limits: { maxComputeWorkgroupsPerDimension: 16 } },
      record: engine.record.bind(engine),
      emptyTensor: engine.emptyTensor.bind(engine),
      bufferOf: engine.bufferOf.bind(engine),
    } as unknown as WebGpuEngine;
    const k = 24, m = 3, n = 4;
    for (const [batch, splits] of [[50, 1], [16, 1], [17, 1], [50, 3], [5, 3], [3, 16], [1, 20]]) {
      const x = digits([batch, k, m], 5), y = digits([batch, k, n], 7);
      const z = engine.emptyTensor([batch, m, n]);
      const buffers = { a: engine.bufferOf(x), b: engine.bufferOf(y), c: engine.bufferOf(z) };
      submitProduct(limited, "test", { ...buffers, m, n, k, batch, transposeA: true }, splits);
      const [xs, ys, found] = await engine.read([x, y, z]);
      const expected = Array.from(
        { length: batch },
        (_, at) =>
          product(
            xs.subarray(at * k * m, (at + 1) * k * m),
            ys.subarray(at * k * n, (at + 1) * k * n),
            k,
          ),
      );
      deepEqual(
        [...found],
        expected.flatMap((values) => [...values]),
        `${batch} in ${splits} parts`,
      );
      dispose([x, y, z]);
    }
  },
);

gpuTest(
  "roots and eigenvalues at both ends of float32 are scaled back by what they were scaled",
  async (engine) => {
    for (const [value, root] of [[1e38, 8], [3e37, 8], [1.3e-38, 4], [3e38, 3], [1e38, 5]]) {
      const matrix = tensor3d([value, 0, 0, value], [1, 2, 2]);
      const { arrays: [x] } = await settle(engine, async (linalg) => {
        const [{ root: x, reports }] = await linalg.inverseRoot([
          { name: "M", matrix, shift: 0, root },
        ]);
        return { read: [x], keep: reports };
      });
      matrix.dispose();
      const expected = value ** (-1 / root);
      ok(
        Math.abs(x[0] - expected) <= 1e-5 * expected,
        `${root} of ${value}: ${x[0]}, not ${expected}`,
      );
    }
    for (const scale of [4e-39, 3e-38, 1e37]) {
      const matrix = tensor3d([2 * scale, 0, 0, scale], [1, 2, 2]);
      const { arrays: [values] } = await settle(engine, async (linalg) => {
        const [{ vectors, values, reports }] = await linalg.eigh([{ name: "M", matrix }]);
        vectors.dispose();
        return { read: [values], keep: reports };
      });
      matrix.dispose();
      ok(Math.abs(values[1] - 2 * scale) <= 1e-5 * scale, `${values} at ${scale}`);
    }
  },
);

gpuTest("an eigenvalue that float32 does not hold is refused", async (engine) => {
  const matrix = tensor3d(new Float32Array(16).fill(1e38), [1, 4, 4]);
  await rejects(
    settle(engine, async (linalg) => {
      const [{ vectors, values, reports }] = await linalg.eigh([{ name: "M", matrix }]);
      return { read: [vectors, values], keep: reports };
    }),
    (error: CurvdError) => error.code === "overflow",
  );
  matrix.dispose();
});
