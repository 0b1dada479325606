/** The built-in float32 eigensolver: the secular equation, divide and conquer, and both with the reduction. */
import { ok, strictEqual as equal } from "node:assert/strict";
import fc from "fast-check";
import { BuiltInFloat32, builtInFloat64 } from "@/engine/host.ts";
import { deflate } from "@/engine/cpu/built_in/deflation.ts";
import { divideAndConquer } from "@/engine/cpu/built_in/divide_and_conquer.ts";
import { rankOneVectors, secularRoots } from "@/engine/cpu/built_in/secular_equation.ts";
import { gramMatrix, uniform } from "../support/matrices.ts";
import { reference } from "../support/reference.ts";

const builtIn = await BuiltInFloat32.open();

/** Largest entry of `‖U Uᵀ − I‖`. */
function defect(rows: Float32Array | Float64Array, d: number): number {
  const x = Float64Array.from(rows);
  const gram = reference.matMul(x, x, { m: d, k: d, n: d, transposeB: true });
  return gram.reduce(
    (most, value, at) => Math.max(most, Math.abs(value - Number(at % (d + 1) === 0))),
    0,
  );
}

/** `[d, d]` from its diagonals. */
function tridiagonal(diagonal: Float64Array, offDiagonal: Float64Array): Float64Array {
  const d = diagonal.length;
  const a = new Float64Array(d * d);
  for (let i = 0; i < d; i++) {
    a[i * (d + 1)] = diagonal[i];
    if (i > 0) a[i * d + i - 1] = a[(i - 1) * d + i] = offDiagonal[i];
  }
  return a;
}

Deno.test("the roots of a secular equation solve it, lie between its poles and give orthogonal vectors", () => {
  const entry = fc.double({ min: -12, max: 0, noNaN: true });
  fc.assert(fc.property(
    fc.array(fc.tuple(entry, entry, fc.boolean()), { minLength: 1, maxLength: 40 }),
    fc.double({ min: 1e-3, max: 2, noNaN: true }),
    (entries, rho) => {
      // gaps and weights over twelve decades
      let pole = -1;
      const poles = Float64Array.from(entries, ([gap]) => pole += 10 ** gap / entries.length);
      const raw = entries.map(([, size, sign]) => (sign ? 1 : -1) * 10 ** (size / 2));
      const length = Math.hypot(...raw);
      const found = deflate(
        raw.map((weight, i) => ({ pole: poles[i], weight: weight / length })),
        rho,
        2 ** -40,
        () => {},
      );
      const update = {
        poles: Float64Array.from(found.moved, (each) => each.pole),
        weights: Float64Array.from(found.moved, ({ weight }) => weight),
        rho,
      };
      const k = found.moved.length;
      const roots = secularRoots(update);
      for (let j = 0; j < k; j++) {
        const above = j + 1 < k ? update.poles[j + 1] : Infinity;
        ok(roots.values[j] >= update.poles[j] && roots.values[j] <= above, `root ${j}`);
      }
      const vectors = rankOneVectors(update, roots);
      ok(defect(vectors, k) <= 1e-13 * (k + 4), `orthogonality ${defect(vectors, k)} of ${k}`);
      // U diag(λ) Uᵀ is the matrix
      for (let i = 0; i < k; i++) {
        for (let j = 0; j <= i; j++) {
          let sum = 0;
          for (let l = 0; l < k; l++) {
            sum += vectors[l * k + i] * roots.values[l] * vectors[l * k + j];
          }
          const entry = rho * update.weights[i] * update.weights[j] +
            (i === j ? update.poles[i] : 0);
          ok(Math.abs(sum - entry) <= 1e-13 * (k + 4), `entry ${i}, ${j}: ${sum - entry}`);
        }
      }
    },
  ));
});

Deno.test("deflation leaves a matrix that its rotations give back", () => {
  const poles = [{ pole: 1, weight: 0.5, name: "a" }, { pole: 1, weight: 0.5, name: "b" }, {
    pole: 0.3,
    weight: 0,
    name: "c",
  }, { pole: 2, weight: Math.SQRT1_2, name: "d" }];
  const rotations: string[] = [];
  const { moved, left } = deflate(poles, 1, 1e-12, (x, y) => rotations.push(x.name + y.name));
  equal(rotations.join(), "ab");
  equal(moved.map(({ name }) => name).join(), "b,d");
  equal(left.map(({ name }) => name).join(), "c,a");
  ok(Math.abs(moved[0].weight - Math.SQRT1_2) < 1e-15);
});

const random = uniform(7);
const TRIDIAGONALS: Record<string, (i: number, d: number) => [diagonal: number, beside: number]> = {
  "random": () => [random() - 0.5, random() - 0.5],
  "a Laplacian": () => [0.5, -0.25],
  "uncoupled": (i) => [i % 3 - 1, 0],
  "coupled now and then": (i) => [random(), i % 7 === 0 ? 0 : 1e-3],
  "all but the identity": () => [1, 1e-12],
  "Wilkinson's, glued": (i) => [Math.abs(i % 21 - 10) / 10, i % 21 === 0 ? 1e-8 : 0.1],
  "graded": (i) => [10 ** (-i / 8), 10 ** (-i / 8) / 2],
  "without a diagonal": () => [0, 0.5],
  "zero": () => [0, 0],
};

for (const [name, entriesOf] of Object.entries(TRIDIAGONALS)) {
  Deno.test(`divide and conquer diagonalizes a tridiagonal matrix that is ${name}`, async () => {
    for (const d of [1, 2, 32, 33, 65, 150]) {
      const entries = Array.from({ length: d }, (_, i) => entriesOf(i, d));
      const diagonal = Float64Array.from(entries, ([x]) => x);
      const offDiagonal = Float64Array.from(entries, ([, x], i) => i === 0 ? 0 : x);
      const t = tridiagonal(diagonal, offDiagonal);
      const { values, rows } = divideAndConquer(builtIn.products, diagonal, offDiagonal);
      const exact = (await builtInFloat64.eigh(t, d)).values;
      exact.forEach((value, i) => ok(Math.abs(values[i] - value) <= 1e-8, `value ${i} of ${d}`));
      ok(defect(rows, d) <= 1e-6, `orthogonality ${defect(rows, d)} at ${d}`);
      for (let j = 0; j < d; j++) {
        for (let i = 0; i < d; i++) {
          const at = j * d + i;
          const product = t[i * (d + 1)] * rows[at] +
            (i > 0 ? offDiagonal[i] * rows[at - 1] : 0) +
            (i + 1 < d ? offDiagonal[i + 1] * rows[at + 1] : 0);
          ok(Math.abs(product - values[j] * rows[at]) <= 1e-6, `residual of ${j} at ${d}`);
        }
      }
    }
  });
}

Deno.test("the built-in float32 eigensolver takes huge and tiny matrices", () => {
  const d = 100;
  for (const scale of [1e30, 1, 1e-30]) {
    const matrix = gramMatrix(d, d).map((x) => x * scale);
    const { values, rows } = builtIn.eigh(matrix, d);
    ok(defect(rows, d) <= 2e-6);
    const trace = values.reduce((sum, value) => sum + value / scale, 0);
    let expected = 0;
    for (let i = 0; i < d; i++) expected += matrix[i * (d + 1)] / scale;
    ok(Math.abs(trace - expected) <= 1e-5 * expected);
  }
});
