/**
 * Float64 twins that define what the kernels should compute: plain loops, slow, and independent of
 * the product's.
 *
 * @module
 */
import type { FailedPivot, Float64 } from "@/engine/mod.ts";

type Matrix = Float32Array | Float64Array;

/** `C = op(A) op(B)`. */
function matMul(
  a: Matrix,
  b: Matrix,
  { m, k, n, transposeA = false, transposeB = false }: Parameters<Float64["matMul"]>[2],
): Float64Array<ArrayBuffer> {
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let t = 0; t < k; t++) {
      const left = transposeA ? a[t * m + i] : a[i * k + t];
      for (let j = 0; j < n; j++) {
        c[i * n + j] += left * (transposeB ? b[j * k + t] : b[t * n + j]);
      }
    }
  }
  return c;
}

function cholesky(a: Matrix, d: number): Float64Array<ArrayBuffer> | FailedPivot {
  const l = new Float64Array(d * d);
  for (let j = 0; j < d; j++) {
    for (let i = j; i < d; i++) {
      let sum = a[i * d + j];
      for (let k = 0; k < j; k++) sum -= l[i * d + k] * l[j * d + k];
      if (i === j && !(sum > 0)) return { index: j, value: sum };
      l[i * d + j] = i === j ? Math.sqrt(sum) : sum / l[j * d + j];
    }
  }
  return l;
}

/** `L⁻¹`, by forward substitution. */
export function lowerInverse(l: Float64Array, d: number): Float64Array<ArrayBuffer> {
  const x = new Float64Array(d * d);
  for (let j = 0; j < d; j++) {
    for (let i = j; i < d; i++) {
      let sum = i === j ? 1 : 0;
      for (let k = j; k < i; k++) sum -= l[i * d + k] * x[k * d + j];
      x[i * d + j] = sum / l[i * d + i];
    }
  }
  return x;
}

function choleskyInverse(a: Matrix, d: number): Float64Array<ArrayBuffer> | FailedPivot {
  const l = cholesky(a, d);
  if (!(l instanceof Float64Array)) return l;
  const x = lowerInverse(l, d);
  return matMul(x, x, { m: d, k: d, n: d, transposeA: true });
}

/** Cyclic Jacobi. */
function eigh(a: Matrix, d: number) {
  const m = Float64Array.from(a);
  const v = new Float64Array(d * d);
  for (let i = 0; i < d; i++) v[i * (d + 1)] = 1;
  const rotate = (
    x: Float64Array,
    p: number,
    q: number,
    c: number,
    s: number,
    stride: number,
    step: number,
  ) => {
    for (let k = 0; k < d; k++) {
      const xp = x[p * stride + k * step], xq = x[q * stride + k * step];
      x[p * stride + k * step] = c * xp - s * xq;
      x[q * stride + k * step] = s * xp + c * xq;
    }
  };
  for (let sweep = 0; sweep < 40; sweep++) {
    let rotations = 0;
    for (let p = 0; p < d; p++) {
      for (let q = p + 1; q < d; q++) {
        const apq = m[p * d + q];
        const scale = Math.sqrt(Math.abs(m[p * (d + 1)])) * Math.sqrt(Math.abs(m[q * (d + 1)]));
        if (apq === 0 || Math.abs(apq) <= 1e-17 * scale) continue;
        const theta = (m[q * (d + 1)] - m[p * (d + 1)]) / (2 * apq);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
        const c = 1 / Math.hypot(t, 1), s = t * c;
        rotate(m, p, q, c, s, d, 1); // rows
        rotate(m, p, q, c, s, 1, d); // columns
        rotate(v, p, q, c, s, 1, d);
        rotations++;
      }
    }
    if (rotations === 0) break;
  }
  const order = Array.from({ length: d }, (_, i) => i).sort((i, j) =>
    m[i * (d + 1)] - m[j * (d + 1)]
  );
  const values = Float64Array.from(order, (i) => m[i * (d + 1)]);
  const vectors = Float64Array.from(
    { length: d * d },
    (_, at) => v[Math.floor(at / d) * d + order[at % d]],
  );
  return { values, vectors };
}

export const reference = {
  library: "reference",
  matMul,
  cholesky: (a: Float64Array, d: number) => Promise.resolve(cholesky(a, d)),
  choleskyInverse: (a: Float64Array, d: number) => Promise.resolve(choleskyInverse(a, d)),
  eigh: (a: Float64Array, d: number) => Promise.resolve(eigh(a, d)),
} satisfies Float64;
