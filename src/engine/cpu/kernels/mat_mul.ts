/**
 * `BatchMatMul` and `_FusedMatMul` on the cpu backend, by the products of a BLAS or the built-in.
 *
 * @module
 */
import {
  BatchMatMul,
  type BatchMatMulAttrs,
  broadcast_util,
  type TensorInfo,
  util,
} from "@tensorflow/tfjs-core";
import type { _FusedMatMulAttrs } from "@tensorflow/tfjs-core";
import type { Float32Products } from "../products.ts";
import { activated } from "./activation.ts";
import { areFloat32, type Kernel, originalKernel, output, valuesOf } from "./kernel.ts";

interface Operands {
  readonly a: TensorInfo;
  readonly b: TensorInfo;
}

interface FusedOperands extends Operands {
  readonly bias?: TensorInfo;
  readonly preluActivationWeights?: TensorInfo;
}

/** `op(A) op(B)`, `[…, m, k] × […, k, n]`; leading axes broadcast. */
export function batchMatMul(
  products: Float32Products,
): Kernel<Operands, BatchMatMulAttrs> {
  return function batchMatMul(call) {
    const { inputs: { a, b }, backend, attrs: { transposeA, transposeB } } = call;
    if (!areFloat32(a, b)) return originalKernel(BatchMatMul)(call as never) as TensorInfo;
    const [rowsA, columnsA] = a.shape.slice(-2);
    const [rowsB, columnsB] = b.shape.slice(-2);
    const [m, k] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
    const [inner, n] = transposeB ? [columnsB, rowsB] : [rowsB, columnsB];
    util.assert(
      k === inner,
      () =>
        `Error in matMul: inner shapes ${k} and ${inner} of [${a.shape}] and [${b.shape}] must match`,
    );
    const leading = broadcast_util.assertAndGetBroadcastShape(
      a.shape.slice(0, -2),
      b.shape.slice(0, -2),
    );
    const batch = util.sizeFromShape(leading);
    const offsetsA = batchOffsets(a.shape.slice(0, -2), leading, m * k);
    const offsetsB = batchOffsets(b.shape.slice(0, -2), leading, k * n);
    const valuesA = valuesOf(backend, a), valuesB = valuesOf(backend, b);
    const c = new Float32Array(batch * m * n);
    if (c.length > 0 && k > 0) {
      for (let at = 0; at < batch; at++) {
        products.matMul(
          c.subarray(at * m * n, (at + 1) * m * n),
          valuesA.subarray(offsetsA[at], offsetsA[at] + m * k),
          valuesB.subarray(offsetsB[at], offsetsB[at] + k * n),
          { m, k, n, transposeA, transposeB },
        );
      }
    }
    return output(backend, [...leading, m, n], c);
  };
}

/** {@linkcode batchMatMul}, then a bias and an activation. */
export function fusedMatMul(
  products: Float32Products,
): Kernel<FusedOperands, _FusedMatMulAttrs> {
  const product = batchMatMul(products);
  return function fusedMatMul(call) {
    const { inputs: { a, b, bias, preluActivationWeights }, backend, attrs } = call;
    const { transposeA, transposeB } = attrs;
    const c = product({ inputs: { a, b }, backend, attrs: { transposeA, transposeB } });
    return activated(backend, c, { bias, preluActivationWeights }, attrs);
  };
}

/** Where each matrix of the broadcast batch starts in an operand whose matrices have `size` elements. */
function batchOffsets(own: number[], leading: number[], size: number): number[] {
  const strides = util.computeStrides(own).concat(own.length > 0 ? [1] : []);
  return Array.from({ length: util.sizeFromShape(leading) }, (_, at) => {
    let index = 0;
    for (let axis = leading.length - 1, rest = at; axis >= 0; axis--) {
      const place = axis - (leading.length - own.length);
      if (place >= 0 && own[place] > 1) index += (rest % leading[axis]) * strides[place];
      rest = Math.floor(rest / leading[axis]);
    }
    return index * size;
  });
}
