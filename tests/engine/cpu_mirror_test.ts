/** Mirrors and transposes in bands of eight rows: every side, also those that eight does not divide. */
import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import fc from "fast-check";
import { isMirrored, mirrorLower, turn } from "@/engine/host.ts";
import { gaussian } from "../support/matrices.ts";

const side = fc.integer({ min: 1, max: 40 });
const kind = fc.constantFrom(Float32Array, Float64Array);

Deno.test("mirrorLower() copies what is below the diagonal above it, and isMirrored() sees that", () => {
  fc.assert(fc.property(side, kind, (d, Values) => {
    const x = Values.from(gaussian([d, d], d)), lower = x.slice();
    mirrorLower(x, d);
    for (let i = 0; i < d; i++) {
      for (let j = 0; j < d; j++) {
        equal(x[i * d + j], lower[Math.max(i, j) * d + Math.min(i, j)]);
      }
    }
    equal(isMirrored(x, d), true);
  }));
});

Deno.test("isMirrored() sees a difference wherever it stands", () => {
  for (const d of [2, 7, 8, 9, 16, 19]) {
    const x = new Float32Array(d * d).fill(1);
    for (let at = 0; at < d * d; at++) {
      x[at] = 1 + 2 ** -23;
      equal(isMirrored(x, d), at % (d + 1) === 0, `${at} of ${d}`);
      x[at] = 1;
    }
  }
});

Deno.test("turn() writes the transpose of a block, wherever it stands", () => {
  const block = fc.record({
    rows: side,
    columns: side,
    start: fc.nat(5),
    more: fc.nat(3),
    at: fc.nat(5),
  });
  fc.assert(fc.property(block, kind, ({ rows, columns, start, more, at }, Values) => {
    const stride = columns + more;
    const from = Values.from(gaussian([start + rows * stride], rows));
    const to = new Values(at + rows * columns);
    turn(to, from, { rows, columns, start, stride }, at);
    const expected = new Values(to.length);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) expected[at + j * rows + i] = from[start + i * stride + j];
    }
    deepEqual(to, expected);
  }));
});
