/**
 * Dense float64 matrices for checking: plain loops, row-major, independent of the product's.
 *
 * @module
 */
import { reference } from "./reference.ts";

export type Dense = Float64Array;

/** `A B` of squares or `[m, k] [k, n]`. */
export function product(a: Dense, b: Dense, m: number, k = m, n = k): Dense {
  return reference.matMul(a, b, { m, k, n });
}

/** `Aᵀ [c, r]` of `A [r, c]`. */
export function transposed(a: Dense, rows: number, columns = rows): Dense {
  return Float64Array.from(a, (_, at) => a[(at % rows) * columns + Math.floor(at / rows)]);
}

/** `G ⊗ A [dOut·dIn]²`: entry ((o,i), (p,j)) is `G_op A_ij`. */
export function kronecker(G: Dense, A: Dense): Dense {
  const r = Math.sqrt(G.length), c = Math.sqrt(A.length), D = r * c;
  return Float64Array.from({ length: D * D }, (_, at) => {
    const row = Math.floor(at / D), column = at % D;
    const g = G[Math.floor(row / c) * r + Math.floor(column / c)];
    return g * A[(row % c) * c + column % c];
  });
}

export function dot(x: ArrayLike<number>, y: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i];
  return sum;
}

/** `‖x‖₂`, of a matrix its Frobenius norm. */
export function norm(x: ArrayLike<number>): number {
  return Math.sqrt(dot(x, x));
}

/** `‖x − y‖₂`; NaN where the lengths differ. */
export function distance(x: ArrayLike<number>, y: ArrayLike<number>): number {
  if (x.length !== y.length) return NaN;
  return norm(Float64Array.from(x, (value, i) => value - y[i]));
}

/** `x + factor·y`. */
export function plus(x: Dense, y: Dense, factor = 1): Dense {
  return x.map((value, i) => value + factor * y[i]);
}

/** `M + shift·I`. */
export function shifted(M: Dense, shift: number): Dense {
  const d = Math.sqrt(M.length);
  return M.map((value, at) => at % (d + 1) === 0 ? value + shift : value);
}

export function traceOf(M: Dense): number {
  const d = Math.sqrt(M.length);
  return M.reduce((sum, value, at) => at % (d + 1) === 0 ? sum + value : sum, 0);
}

/** `M⁻¹ b` by Gaussian elimination with row pivots; `b [d, r]`. */
export function solve(M: Dense, b: Dense): Dense {
  const d = Math.sqrt(M.length), r = b.length / d;
  const m = M.slice(), x = b.slice();
  const swap = (of: Dense, width: number, i: number, j: number) => {
    for (let k = 0; k < width; k++) {
      [of[i * width + k], of[j * width + k]] = [of[j * width + k], of[i * width + k]];
    }
  };
  for (let p = 0; p < d; p++) {
    let best = p;
    for (let i = p + 1; i < d; i++) {
      if (Math.abs(m[i * d + p]) > Math.abs(m[best * d + p])) best = i;
    }
    swap(m, d, p, best);
    swap(x, r, p, best);
    for (let i = p + 1; i < d; i++) {
      const factor = m[i * d + p] / m[p * d + p];
      for (let j = p; j < d; j++) m[i * d + j] -= factor * m[p * d + j];
      for (let j = 0; j < r; j++) x[i * r + j] -= factor * x[p * r + j];
    }
  }
  for (let p = d - 1; p >= 0; p--) {
    for (let j = 0; j < r; j++) {
      for (let k = p + 1; k < d; k++) x[p * r + j] -= m[p * d + k] * x[k * r + j];
      x[p * r + j] /= m[p * d + p];
    }
  }
  return x;
}

export function inverse(M: Dense): Dense {
  const d = Math.sqrt(M.length);
  return solve(M, shifted(new Float64Array(d * d), 1));
}

/** Eigenvalues ascending, eigenvectors in columns. */
export async function eigh(M: Dense): Promise<{ values: Dense; vectors: Dense }> {
  return await reference.eigh(M, Math.sqrt(M.length));
}

/** Singular values of a symmetric matrix, descending. */
export async function singularValues(M: Dense): Promise<Dense> {
  const { values } = await eigh(M);
  return values.map(Math.abs).sort((x, y) => y - x);
}

/** Van Loan's rearrangement `R(F) [dOut², dIn²]`: `R[(o,p),(i,j)] = F[(o,i),(p,j)]`. */
export function rearrangement(F: Dense, dOut: number, dIn: number): Dense {
  const D = dOut * dIn, square = dIn * dIn;
  return Float64Array.from({ length: D * D }, (_, at) => {
    const [op, ij] = [Math.floor(at / square), at % square];
    const [o, p, i, j] = [Math.floor(op / dOut), op % dOut, Math.floor(ij / dIn), ij % dIn];
    return F[(o * dIn + i) * D + p * dIn + j];
  });
}
