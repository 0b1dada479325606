import { type Blas, turn } from "@/engine/host.ts";

/** `Aᵀ [d, d]`, by the library where it has a routine for it. */
export function transposeSquare(
  blas: Blas,
  a: Float32Array<ArrayBuffer>,
  d: number,
): Float32Array<ArrayBuffer> {
  const b = new Float32Array(d * d);
  if (!blas.transpose(b, a, d)) turn(b, a, { rows: d, columns: d });
  return b;
}

/** `Aᵀ [d, d]`. */
export function turned(a: Float32Array<ArrayBuffer>, d: number): Float32Array<ArrayBuffer> {
  const b = new Float32Array(d * d);
  turn(b, a, { rows: d, columns: d });
  return b;
}
