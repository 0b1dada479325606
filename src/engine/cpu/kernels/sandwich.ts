import { type TensorInfo, util } from "@tensorflow/tfjs-core";
import type { Float32Products } from "../products.ts";
import { type Kernel, output, valuesOf } from "./kernel.ts";

/** Name that `linalg` calls the kernel by. */
export const SANDWICH = "CurvdSandwich";

interface Operands {
  /** `[b, r, r]`. */
  readonly left: TensorInfo;
  /** `[b, r, c]`. */
  readonly middle: TensorInfo;
  /** `[b, c, c]`. */
  readonly right: TensorInfo;
  /** D `[b, r, c]`, or u and v `[b, r]`, `[b, c]` of `D = u vᵀ`. */
  readonly divisor?: TensorInfo;
  readonly u?: TensorInfo;
  readonly v?: TensorInfo;
}

interface Attributes {
  readonly transposeLeft: boolean;
  readonly transposeRight: boolean;
  readonly shift: number;
  readonly floor: number;
}

/**
 * `op(L) V op(R)` or `op(L) (V / max(D + shift, floor)) op(R)` of each matrix of a batch.
 *
 * What lies between is kept from call to call: fresh megabytes cost a page fault every 4 kB, which is more than a tenth of the
 * product that fills them.
 */
export function sandwich(products: Float32Products): Kernel<Operands, Attributes> {
  return function sandwich({ inputs, backend, attrs }) {
    const { left, middle, right } = inputs;
    const [batch, r, c] = middle.shape, size = r * c;
    assertShape(left, [batch, r, r]);
    assertShape(right, [batch, c, c]);
    const of = (tensor: TensorInfo) => {
      const values = valuesOf(backend, tensor), length = values.length / batch;
      return (at: number) => values.subarray(at * length, (at + 1) * length);
    };
    const [L, V, R] = [left, middle, right].map(of);
    const divide = divisionBy(inputs, attrs, of);
    const result = new Float32Array(batch * size);
    const work = borrowed(2 * size), product = work.subarray(0, size);
    for (let at = 0; at < batch && size > 0; at++) {
      const inner = divide ? divide(work.subarray(size), V(at), at) : V(at);
      const { transposeLeft: transposeA, transposeRight: transposeB } = attrs;
      products.matMul(product, L(at), inner, { m: r, k: r, n: c, transposeA });
      const outer = result.subarray(at * size, (at + 1) * size);
      products.matMul(outer, product, R(at), { m: r, k: c, n: c, transposeB });
    }
    return output(backend, middle.shape, result);
  };
}

/** Divides a matrix of the batch into `quotient`, and gives that back. */
type Division = (quotient: Float32Array, x: Float32Array, at: number) => Float32Array;

function divisionBy(
  { middle, divisor, u, v }: Operands,
  { shift, floor }: Attributes,
  of: (tensor: TensorInfo) => (at: number) => Float32Array,
): Division | null {
  const bounds = { shift: Math.fround(shift), floor: Math.fround(floor) };
  const [batch, r, c] = middle.shape;
  if (divisor) {
    assertShape(divisor, middle.shape);
    const D = of(divisor);
    return (quotient, x, at) => divideByMatrix(quotient, x, D(at), bounds);
  }
  if (u && v) {
    assertShape(u, [batch, r]);
    assertShape(v, [batch, c]);
    const [rows, columns] = [of(u), of(v)];
    return (quotient, x, at) => divideByOuter(quotient, x, rows(at), columns(at), bounds);
  }
  return null;
}

interface Bounds {
  readonly shift: number;
  readonly floor: number;
}

/** `x / max(D + shift, floor)`, rounded as each of the operations is. */
function divideByMatrix(
  quotient: Float32Array,
  x: Float32Array,
  D: Float32Array,
  { shift, floor }: Bounds,
): Float32Array {
  for (let i = 0; i < quotient.length; i++) {
    quotient[i] = x[i] / Math.max(Math.fround(D[i] + shift), floor);
  }
  return quotient;
}

/** `x / max(u vᵀ + shift, floor)`, rounded as each of the operations is. */
function divideByOuter(
  quotient: Float32Array,
  x: Float32Array,
  u: Float32Array,
  v: Float32Array,
  { shift, floor }: Bounds,
): Float32Array {
  for (let row = 0, i = 0; row < u.length; row++) {
    for (let column = 0; column < v.length; column++, i++) {
      const d = Math.fround(Math.fround(u[row] * v[column]) + shift);
      quotient[i] = x[i] / Math.max(d, floor);
    }
  }
  return quotient;
}

function assertShape({ shape }: TensorInfo, expected: number[]): void {
  util.assert(
    util.arraysEqual(shape, expected),
    () => `Error in sandwich: shape [${shape}] must be [${expected}]`,
  );
}

/** Values kept at most: 64 MiB. */
const MOST_KEPT = 2 ** 24;

let kept = new Float32Array(0);

/** Memory with anything in it, until the kernel returns. */
function borrowed(length: number): Float32Array {
  if (length > MOST_KEPT) return new Float32Array(length);
  if (length > kept.length) kept = new Float32Array(length);
  return kept.subarray(0, length);
}
