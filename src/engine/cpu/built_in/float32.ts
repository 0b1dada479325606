/**
 * Float32 without a BLAS: products by XNNPACK, and the symmetric eigendecomposition that they make fast.
 *
 *   A = Q T Qᵀ = Q Z diag(w) Zᵀ Qᵀ
 *
 * T and its eigenvalues are float64, eigenvectors float32: at 512 in a third of the time that float64 takes.
 *
 * @module
 */
import type { Float32Products } from "../products.ts";
import { backTransform } from "./back_transform.ts";
import { divideAndConquer } from "./divide_and_conquer.ts";
import { powerOfTwoAbove } from "./eigh.ts";
import { builtInProducts } from "./products.ts";
import { tridiagonalize } from "./tridiagonal.ts";
import { Xnnpack } from "./xnnpack.ts";

export interface Float32Spectrum {
  /** `[d]`, ascending. */
  readonly values: Float32Array<ArrayBuffer>;
  /** `[d, d]`: eigenvectors in rows. */
  readonly rows: Float32Array<ArrayBuffer>;
}

export class BuiltInFloat32 {
  /** Below it float64 takes no longer. */
  static readonly smallest = 96;

  constructor(readonly products: Float32Products) {}

  static async open(): Promise<BuiltInFloat32> {
    return new BuiltInFloat32(builtInProducts(await Xnnpack.open()));
  }

  /**
   * @param matrix `[d, d]` symmetric and finite; its lower triangle is read.
   * @throws CurvdError `not-converged`.
   */
  eigh(matrix: Float32Array, d: number): Float32Spectrum {
    const a = Float64Array.from(matrix);
    const scale = powerOfTwoAbove(a);
    for (let at = 0; at < a.length; at++) a[at] /= scale;
    const tridiagonal = tridiagonalize(a, d);
    const { diagonal, offDiagonal } = tridiagonal;
    const { values, rows } = divideAndConquer(this.products, diagonal, offDiagonal);
    backTransform(this.products, rows, tridiagonal);
    return { values: Float32Array.from(values, (value) => value * scale), rows };
  }
}
