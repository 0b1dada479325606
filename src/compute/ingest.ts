/**
 * From the wire to the device: every value is looked at once, here, before it becomes a tensor.
 *
 * What is refused names the layer, the tensor and the first bad index. Symmetric matrices are unpacked, checked and made
 * symmetric to the bit, and their τ is computed: how far below zero an eigenvalue may be and still count as
 * rounding (api.md, Numbers).
 *
 * @module
 */
import { type Tensor, tensor, type Tensor3D } from "@tensorflow/tfjs-core";
import { isMirrored, sumOfSquares } from "@/engine/mod.ts";
import { CurvdError } from "@/errors.ts";
import {
  firstNonFinite,
  packedSide,
  UNIT_ROUNDOFF,
  unpackSymmetric,
  type WireTensor,
} from "@/wire/mod.ts";

/** Where a tensor came from, for messages. */
export interface Place {
  readonly layer: string;
  readonly tensor: string;
}

/** A symmetric matrix of a request, or one a group, ready for the device. */
export interface SymmetricInput {
  /** `[b, d, d]`, symmetric to the bit. */
  readonly data: Float32Array<ArrayBuffer>;
  readonly shape: readonly [number, number, number];
  /** τ = (2u + d·2⁻²³)·‖M‖_F of each matrix. */
  readonly tolerances: number[];
}

/** Memory that inputs were unpacked into, for a call to give back when it is answered. */
export class Unpacked {
  readonly #arrays: Float32Array<ArrayBuffer>[] = [];

  keep(array: Float32Array<ArrayBuffer>): void {
    this.#arrays.push(array);
  }

  /** Nobody may read them any more. */
  free(): void {
    for (const { buffer } of this.#arrays.splice(0)) buffer.transfer(0);
  }
}

/** Refuses NaN and infinity. @throws CurvdError `not-finite` with the first bad index. */
export function expectFinite({ data, shape }: WireTensor, { layer, tensor }: Place): void {
  const at = firstNonFinite(data);
  if (at < 0) return;
  const index = indexOf(at, shape);
  throw new CurvdError(
    "not-finite",
    `Layer "${layer}": ${tensor} must be finite: [${index.join(", ")}] is ${data[at]} in float32`,
    { layer, tensor, value: String(data[at]), index },
  );
}

/** Looks at a tensor's values and gives them to the device; the caller disposes it. */
export function upload(wire: WireTensor): Tensor {
  return tensor(wire.data, [...wire.shape], wire.data instanceof Int32Array ? "int32" : "float32");
}

/** A symmetric input as a tensor `[b, d, d]`; the caller disposes it. */
export function uploadSymmetric({ data, shape }: SymmetricInput): Tensor3D {
  return tensor(data, [...shape]) as Tensor3D;
}

/**
 * Unpacks, checks and symmetrizes `[d, d]`, `[d(d+1)/2]` or `[b, d, d]`.
 *
 * @param unpacked is told of memory that a triangle took.
 * @throws CurvdError `not-finite`; `invalid-tensor` where it is not square, or further from symmetric than the dtype it
 *   came in explains: `‖M − Mᵀ‖_F > 4u√d·‖M‖_F`.
 */
export function ingestSymmetric(
  wire: WireTensor,
  place: Place,
  unpacked?: Unpacked,
): SymmetricInput {
  const { shape, dtype } = wire;
  const data = wire.data as Float32Array<ArrayBuffer>;
  const u = UNIT_ROUNDOFF[dtype];
  const normOf = (matrix: Float32Array) => {
    const norm = Math.sqrt(sumOfSquares(matrix));
    if (!Number.isFinite(norm)) expectFinite(wire, place);
    return norm;
  };
  if (shape.length === 1) {
    const d = packedSide(shape[0]);
    if (d === undefined) {
      expectFinite(wire, place);
      throw notSquare(shape, place);
    }
    const full = unpackSymmetric(data, d);
    unpacked?.keep(full);
    return { data: full, shape: [1, d, d], tolerances: [tau(u, d, normOf(full))] };
  }
  const d = shape.at(-1)!;
  if (shape.at(-2) !== d) throw notSquare(shape, place);
  const b = shape.length === 3 ? shape[0] : 1;
  const tolerances = Array.from({ length: b }, (_, i) => {
    const matrix = data.subarray(i * d * d, (i + 1) * d * d);
    const norm = normOf(matrix);
    if (isMirrored(matrix, d)) return tau(u, d, norm);
    symmetrize(matrix, d, 4 * Math.max(u, 2 ** -24) * Math.sqrt(d) * norm, place);
    return tau(u, d, norm);
  });
  return { data, shape: [b, d, d], tolerances };
}

/** Ids of an embedding. @throws CurvdError `invalid-tensor` with the first index outside [0, vocabulary). */
export function expectIds({ data, shape }: WireTensor, vocabulary: number, place: Place): void {
  const at = data.findIndex((id) => id < 0 || id >= vocabulary);
  if (at < 0) return;
  const index = indexOf(at, shape);
  throw new CurvdError(
    "invalid-tensor",
    `Layer "${place.layer}": ids must be in [0, ${vocabulary}): [${index.join(", ")}] is ${
      data[at]
    }`,
    { ...place, value: data[at], limit: vocabulary - 1, index },
  );
}

/** A mask of zeros and ones. @returns the number of ones. @throws CurvdError `invalid-tensor`. */
export function expectMask({ data, shape }: WireTensor, place: Place): number {
  const at = data.findIndex((value) => value !== 0 && value !== 1);
  if (at >= 0) {
    const index = indexOf(at, shape);
    throw new CurvdError(
      "invalid-tensor",
      `Layer "${place.layer}": a mask holds 0 and 1: [${index.join(", ")}] is ${data[at]}`,
      { ...place, value: data[at], index },
    );
  }
  return (data as Float32Array).reduce((count, value) => count + value, 0);
}

/** τ of api.md: what rounding on the way here and in the solver can make of an eigenvalue 0. */
function tau(u: number, d: number, norm: number): number {
  return (2 * u + d * 2 ** -23) * norm;
}

/** Side of the blocks that a matrix and its transpose are met in: the transposed side of a row-major matrix is far away. */
const BLOCK = 32;

/** In place. */
function symmetrize(
  matrix: Float32Array,
  d: number,
  bound: number,
  { layer, tensor }: Place,
): void {
  let difference = 0;
  for (let rows = 0; rows < d; rows += BLOCK) {
    for (let columns = 0; columns <= rows; columns += BLOCK) {
      for (let i = rows; i < Math.min(rows + BLOCK, d); i++) {
        for (let j = columns; j < Math.min(columns + BLOCK, i); j++) {
          const below = matrix[i * d + j], above = matrix[j * d + i];
          if (below === above) continue;
          difference += 2 * (below - above) ** 2;
          matrix[i * d + j] = matrix[j * d + i] = (below + above) / 2;
        }
      }
    }
  }
  const asymmetry = Math.sqrt(difference);
  if (!(asymmetry <= bound)) {
    throw new CurvdError(
      "invalid-tensor",
      `Layer "${layer}": ${tensor} must be symmetric: ‖M − Mᵀ‖_F is ${asymmetry.toPrecision(3)}, ` +
        `rounding explains ${bound.toPrecision(3)}`,
      { layer, tensor, value: asymmetry, limit: bound, size: d },
    );
  }
}

function notSquare(shape: readonly number[], { layer, tensor }: Place): CurvdError {
  return new CurvdError(
    "invalid-tensor",
    `Layer "${layer}": ${tensor} must be square, [d, d], or packed, [d(d+1)/2]: it is [${
      shape.join(", ")
    }]`,
    { layer, tensor, value: shape },
  );
}

function indexOf(at: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index.unshift(at % shape[axis]);
    at = Math.floor(at / shape[axis]);
  }
  return index;
}
