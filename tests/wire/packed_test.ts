import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import fc from "fast-check";
import { packedLength, packedSide, packSymmetric, unpackSymmetric } from "../../src/wire/packed.ts";

Deno.test("packSymmetric() lists the upper triangle as numpy.triu_indices does", () => {
  const matrix = Float32Array.of(1, 2, 3, 2, 4, 5, 3, 5, 6);
  deepEqual([...packSymmetric(matrix, 3)], [1, 2, 3, 4, 5, 6]);
});

Deno.test("packSymmetric() packs each matrix of a stack", () => {
  const stack = Float32Array.of(1, 2, 2, 3, 4, 5, 5, 6);
  deepEqual([...packSymmetric(stack, 2)], [1, 2, 3, 4, 5, 6]);
});

Deno.test("unpackSymmetric() undoes packSymmetric(), symmetric to the bit", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.infiniteStream(fc.float()), (d, values) => {
      const packed = Float32Array.from({ length: packedLength(d) }, () => values.next().value);
      const full = unpackSymmetric(packed, d);
      for (let i = 0; i < d; i++) {
        for (let j = 0; j < d; j++) equal(full[i * d + j], full[j * d + i]);
      }
      deepEqual(packSymmetric(full, d), packed);
    }),
  );
});

Deno.test("packedSide() knows triangular numbers from others, up to 8192", () => {
  for (const d of [1, 2, 3, 64, 4096, 8192]) {
    equal(packedSide(packedLength(d)), d);
    equal(packedSide(packedLength(d) + 1), undefined);
  }
  equal(packedSide(0), undefined);
});
