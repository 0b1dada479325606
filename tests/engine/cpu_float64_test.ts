import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import fc from "fast-check";
import type { Float64 } from "@/engine/mod.ts";
import { libraryTest } from "../support/libraries.ts";
import { gaussian, gramMatrix, logSpaced, uniform, withSpectrum } from "../support/matrices.ts";
import { reference } from "../support/reference.ts";

const EPSILON = 2 ** -52;

/** Around the block of the factorization (64), the tile (4) and the strip (8). */
const SIDES = [1, 2, 3, 4, 5, 8, 9, 17, 63, 64, 65, 129];

function spd(d: number, seed = d): Float64Array {
  return Float64Array.from(gramMatrix(d, seed));
}

/** `XᵀX/n` of `n` images, noise that is lit in the middle alone: fewer than pixels, and most pixels dark in all or nearly all. */
function spotlitGram(side: number, n: number): Float64Array {
  const d = side * side, random = uniform(3), middle = side / 2;
  const x = Float64Array.from({ length: n * d }, (_, at) => {
    const row = Math.floor(at % d / side), column = at % side;
    const light = Math.exp(-((row - middle) ** 2 + (column - middle) ** 2) / 4);
    return random() < light ? random() / Math.sqrt(n) : 0;
  });
  return reference.matMul(x, x, { m: d, k: n, n: d, transposeA: true }) as Float64Array;
}

function largest(x: Float64Array): number {
  return x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

function difference(x: Float64Array, y: Float64Array): number {
  return largest(x.map((value, at) => value - y[at]));
}

function identity(d: number): Float64Array {
  return Float64Array.from({ length: d * d }, (_, at) => Number(at % (d + 1) === 0));
}

function assertEigh(
  a: Float64Array,
  d: number,
  { values, vectors }: Awaited<ReturnType<Float64["eigh"]>>,
): void {
  const size = { m: d, k: d, n: d };
  const av = reference.matMul(a, vectors, size);
  const vw = vectors.map((value, at) => value * values[at % d]);
  ok(
    difference(av, vw) <= 20 * d * EPSILON * Math.max(largest(a), Number.MIN_VALUE),
    `residual at ${d}`,
  );
  const gram = reference.matMul(vectors, vectors, { ...size, transposeA: true });
  ok(difference(gram, identity(d)) <= 20 * d * EPSILON, `orthogonality at ${d}`);
  for (let i = 1; i < d; i++) ok(values[i - 1] <= values[i], "ascending");
}

libraryTest(
  "float64 factors and inverts positive definite matrices at the edges of its blocks",
  async ({ float64 }) => {
    for (const d of SIDES) {
      const a = spd(d);
      const l = await float64.cholesky(a, d) as Float64Array;
      const restored = reference.matMul(l, l, { m: d, k: d, n: d, transposeB: true });
      ok(difference(restored, a) <= d * EPSILON * largest(a));
      for (let i = 0; i < d; i++) for (let j = i + 1; j < d; j++) equal(l[i * d + j], 0);

      const x = await float64.choleskyInverse(a, d) as Float64Array;
      const product = reference.matMul(x, a, { m: d, k: d, n: d });
      ok(difference(product, identity(d)) <= 1e-11, `inverse at ${d}`);
      for (let i = 0; i < d; i++) for (let j = 0; j < i; j++) equal(x[i * d + j], x[j * d + i]);
    }
  },
);

libraryTest("float64 diagonalizes matrices at the edges of its blocks", async ({ float64 }) => {
  for (const d of SIDES) assertEigh(spd(d), d, await float64.eigh(spd(d), d));
});

libraryTest(
  "float64 diagonalizes what has repeated, zero, graded, huge and tiny eigenvalues",
  async ({ float64 }) => {
    const d = 40;
    const spectra = {
      zero: new Float64Array(d),
      identity: new Float64Array(d).fill(1),
      repeated: Float64Array.from({ length: d }, (_, i) => 1 + i % 3),
      graded: logSpaced(d, 12),
      huge: logSpaced(d, 3, 1e30),
      tiny: logSpaced(d, 3, 1e-30),
      indefinite: Float64Array.from({ length: d }, (_, i) => i - 20),
    };
    for (const values of Object.values(spectra)) {
      const a = Float64Array.from(withSpectrum(values, 1));
      assertEigh(a, d, await float64.eigh(a, d));
    }
  },
);

libraryTest(
  "float64 diagonalizes what leaves rounding of rounding, squares of which underflow",
  async ({ float64 }) => {
    const d = 14;
    for (const step of [1e-40, 1e-80]) {
      const falling = Float64Array.from(
        { length: d * d },
        (_, at) => step ** (d - 1 - Math.max(Math.floor(at / d), at % d)),
      );
      assertEigh(falling, d, await float64.eigh(falling, d));
    }
    const images = spotlitGram(12, 64);
    assertEigh(images, 144, await float64.eigh(images, 144));
  },
);

libraryTest("float64 diagonalizes diagonal and tridiagonal matrices", async ({ float64 }) => {
  const d = 20;
  const diagonal = identity(d).map((value, at) => value * (at % 7 - 3));
  assertEigh(diagonal, d, await float64.eigh(diagonal, d));
  const laplacian = Float64Array.from({ length: d * d }, (_, at) => {
    const distance = Math.abs(Math.floor(at / d) - at % d);
    return distance === 0 ? 2 : distance === 1 ? -1 : 0;
  });
  const found = await float64.eigh(laplacian, d);
  assertEigh(laplacian, d, found);
  found.values.forEach((value, k) =>
    ok(Math.abs(value - 2 + 2 * Math.cos(Math.PI * (k + 1) / (d + 1))) <= 1e-13)
  );
});

libraryTest(
  "float64 agrees with Jacobi on the eigenvalues of any small symmetric matrix",
  async ({ float64 }) => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 12 }), fc.nat(), async (d, seed) => {
        const x = gaussian([d, d], seed);
        const a = Float64Array.from(x, (_, at) => x[at] + x[(at % d) * d + Math.floor(at / d)]);
        const { values } = await float64.eigh(a, d);
        ok(difference(values, (await reference.eigh(a, d)).values) <= 1e-12 * largest(a) * d);
      }),
      { numRuns: 40 },
    );
  },
);

libraryTest("float64 tells the pivot that failed and its value", async ({ float64 }) => {
  for (const d of [2, 64, 70, 130]) {
    const index = d - 2 + d % 2;
    const a = spd(d);
    a[index * (d + 1)] -= 1e3;
    const expected = await reference.cholesky(a, d);
    ok(!(expected instanceof Float64Array));
    for (const failed of [await float64.cholesky(a, d), await float64.choleskyInverse(a, d)]) {
      ok(!(failed instanceof Float64Array));
      equal(failed.index, index);
      ok(Math.abs(failed.value / expected.value - 1) < 1e-9);
    }
  }
});

libraryTest(
  "float64 refuses NaN as a pivot and gives NaN eigenvalues for it",
  async ({ float64 }) => {
    const a = identity(5);
    a[12] = NaN;
    const failed = await float64.cholesky(a, 5);
    deepEqual(failed, { index: 2, value: NaN });
    const { values } = await float64.eigh(a, 5);
    ok(values.some(Number.isNaN));
  },
);

libraryTest("float64 multiplies with any transposition", ({ float64 }) => {
  const m = 67, k = 300, n = 5;
  for (const transposeA of [false, true]) {
    for (const transposeB of [false, true]) {
      const a = Float64Array.from(gaussian([m, k], 1)), b = Float64Array.from(gaussian([k, n], 2));
      const size = { m, k, n, transposeA, transposeB };
      ok(difference(float64.matMul(a, b, size), reference.matMul(a, b, size)) <= 1e-12);
    }
  }
});

libraryTest("float64 leaves its arguments as they were", async ({ float64 }) => {
  const a = spd(9), before = a.slice();
  await float64.cholesky(a, 9);
  await float64.choleskyInverse(a, 9);
  await float64.eigh(a, 9);
  float64.matMul(a, a, { m: 9, k: 9, n: 9 });
  deepEqual(a, before);
});

libraryTest("float64 gives the same bits again, alone and beside others", async ({ float64 }) => {
  const d = 96, a = spd(d);
  const alone = await float64.eigh(a, d);
  const together = await Promise.all([5, 96, 33, 96].map((side) => float64.eigh(spd(side), side)));
  deepEqual(together[1], alone);
  deepEqual(together[3], alone);
});
