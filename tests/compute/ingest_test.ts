/** What is looked at before a value reaches the device: finiteness, symmetry, packing, ids, masks. */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal, throws } from "node:assert/strict";
import fc from "fast-check";
import { CurvdError } from "@/errors.ts";
import { type Dtype, packSymmetric, UNIT_ROUNDOFF, type WireTensor } from "@/wire/mod.ts";
import {
  expectFinite,
  expectIds,
  expectMask,
  ingestSymmetric,
  type SymmetricInput,
  Unpacked,
} from "../../src/compute/ingest.ts";
import { ids, wire } from "../support/calls.ts";
import { gramMatrix } from "../support/matrices.ts";

const PLACE = { layer: "fc1", tensor: "A" };

/** Expects a CurvdError, and answers it. */
function refusal(work: () => unknown, code: string): CurvdError {
  let caught: unknown;
  throws(work, (error) => (caught = error) instanceof CurvdError);
  const error = caught as CurvdError;
  equal(error.code, code);
  return error;
}

/** A fresh copy: ingesting symmetrizes in place. */
const ingest = ({ dtype, shape, data }: WireTensor): SymmetricInput =>
  ingestSymmetric({ dtype, shape, data: data.slice() } as WireTensor, PLACE);

/** A symmetric matrix whose corners differ by `asymmetry`, and its `‖M‖_F`. */
function nearlySymmetric(d: number, asymmetry: number, dtype: Dtype) {
  const data = new Float32Array(d * d);
  for (let i = 0; i < d; i++) data[i * (d + 1)] = 1;
  data[d - 1] = asymmetry / Math.SQRT2;
  return { tensor: { dtype, shape: [d, d], data }, norm: Math.hypot(...data) };
}

for (const bad of [NaN, Infinity, -Infinity]) {
  Deno.test(`the first of several bad values is named, with its index: ${bad}`, () => {
    fc.assert(fc.property(fc.nat(23), fc.nat(23), (at, later) => {
      const data = new Float32Array(24);
      data[at] = bad;
      data[Math.max(at, later)] = bad;
      const error = refusal(() => expectFinite(wire([2, 3, 4], data), PLACE), "not-finite");
      const { index, value, layer, tensor } = error.facts;
      deepEqual(index, [Math.floor(at / 12), Math.floor(at / 4) % 3, at % 4]);
      deepEqual([value, layer, tensor], [String(bad), "fc1", "A"]);
    }));
  });
}

for (const dtype of ["F64", "F32", "F16", "BF16"] as const) {
  Deno.test(`a ${dtype} matrix may be as far from symmetric as its rounding explains, and no further`, () => {
    const d = 5, u = Math.max(UNIT_ROUNDOFF[dtype], 2 ** -24);
    const bound = 4 * u * Math.sqrt(d) * Math.sqrt(d); // ‖M‖_F ≈ √d
    const within = nearlySymmetric(d, 0.98 * Math.SQRT1_2 * bound, dtype);
    const { data } = ingest(within.tensor);
    equal(data[d - 1], data[(d - 1) * d]); // to the bit
    ok(Math.abs(data[d - 1] - within.tensor.data[d - 1] / 2) <= 1e-12);

    const beyond = nearlySymmetric(d, 1.02 * Math.SQRT2 * bound, dtype);
    const { facts } = refusal(() => ingest(beyond.tensor), "invalid-tensor");
    ok((facts.value as number) > (facts.limit as number));
    deepEqual([facts.layer, facts.tensor, facts.size], ["fc1", "A", d]);
  });
}

Deno.test("τ grows with the dtype's rounding, the side and the norm", () => {
  for (const dtype of ["F64", "F32", "F16", "BF16"] as const) {
    for (const d of [1, 6]) {
      const { tensor, norm } = nearlySymmetric(d, 0, dtype);
      const [tau] = ingest(tensor).tolerances;
      const expected = (2 * UNIT_ROUNDOFF[dtype] + d * 2 ** -23) * norm;
      ok(Math.abs(tau - expected) <= 1e-12 * expected, `${dtype}, d ${d}: τ ${tau}`);
    }
  }
});

Deno.test("a packed triangle is the matrix it packs", () => {
  for (const d of [1, 2, 3, 33]) {
    const full = gramMatrix(d, d);
    const packed = packSymmetric(full, d);
    const input = ingest(wire([packed.length], packed));
    deepEqual(input.shape, [1, d, d]);
    deepEqual(input.data, full);
    deepEqual(input.tolerances, ingest(wire([d, d], full)).tolerances);
  }
});

Deno.test("a stack is checked matrix by matrix", () => {
  const good = gramMatrix(3, 1), bad = good.slice();
  bad[1] += 1;
  const stack = (...matrices: Float32Array[]) =>
    wire([matrices.length, 3, 3], matrices.flatMap((m) => [...m]));
  const { shape, tolerances } = ingest(stack(good, good.map((value) => 2 * value)));
  deepEqual(shape, [2, 3, 3]);
  equal(tolerances[1], 2 * tolerances[0]);
  refusal(() => ingest(stack(good, bad)), "invalid-tensor");
});

Deno.test("what is neither square nor a triangle is refused with its shape", () => {
  for (const shape of [[2, 3], [5], [1, 2, 3]]) {
    const size = shape.reduce((x, y) => x * y);
    const error = refusal(() => ingest(wire(shape, new Float32Array(size))), "invalid-tensor");
    deepEqual(error.facts.value, shape);
    ok(error.message.includes("square"), error.message);
  }
});

Deno.test("an id outside the vocabulary is named with its index", () => {
  const place = { layer: "table", tensor: "inputs" };
  expectIds(ids([2, 2], [0, 4, 3, 1]), 5, place);
  for (const [bad, index] of [[5, [1, 0]], [-1, [1, 0]]] as const) {
    const { facts } = refusal(
      () => expectIds(ids([2, 2], [0, 4, bad, 9]), 5, place),
      "invalid-tensor",
    );
    deepEqual([facts.index, facts.value, facts.layer, facts.tensor], [
      index,
      bad,
      "table",
      "inputs",
    ]);
  }
});

Deno.test("a mask holds 0 and 1, and is counted", () => {
  const place = { layer: "fc1", tensor: "mask" };
  equal(expectMask(wire([2, 3], [1, 1, 0, 1, 0, 0]), place), 3);
  const { facts } = refusal(
    () => expectMask(wire([2, 2], [1, 0, 0.5, 1]), place),
    "invalid-tensor",
  );
  deepEqual([facts.index, facts.value], [[1, 0], 0.5]);
});

Deno.test("memory that triangles were unpacked into is freed together, what came whole is not", () => {
  const full = gramMatrix(5, 1), unpacked = new Unpacked();
  const triangle = wire([15], packSymmetric(full, 5)), whole = wire([5, 5], full);
  const [opened, same] = [triangle, whole].map((each) => ingestSymmetric(each, PLACE, unpacked));
  unpacked.free();
  unpacked.free(); // twice does no harm
  equal(opened.data.buffer.detached, true);
  deepEqual([triangle.data.length, same.data.length], [15, 25]);
});
