/** Requests as benches send them. @module */
import { type Document, encodeDocument, MEDIA_TYPES, PLAIN_OUTPUT, tensorOf } from "@/wire/mod.ts";

export const SAFETENSORS_HEADERS = { "content-type": MEDIA_TYPES.safetensors };

/** `XXᵀ/64 + 0.01 I`, X of 64 columns, uniform sums: spread enough for a factor, and quick to make. */
export function factorOf(n: number): Float32Array<ArrayBuffer> {
  let state = n;
  const uniform = () => ((state = Math.imul(state, 1664525) + 1013904223 | 0) >>> 0) / 2 ** 32;
  const rank = 64;
  const x = Float32Array.from({ length: rank * n }, () => uniform() + uniform() + uniform() - 1.5);
  const factor = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? 0.01 : 0;
      for (let k = 0; k < rank; k++) sum += x[k * n + i] * x[k * n + j] / rank;
      factor[i * n + j] = factor[j * n + i] = sum;
    }
  }
  return factor;
}

/** The upper triangle of a symmetric matrix row by row. */
export function packed(matrix: Float32Array, n: number): Float32Array<ArrayBuffer> {
  const triangle = new Float32Array(n * (n + 1) / 2);
  for (let i = 0, at = 0; i < n; at += n - i, i++) {
    triangle.set(matrix.subarray(i * n + i, (i + 1) * n), at);
  }
  return triangle;
}

/** A document as the body of a request in safetensors. */
export function bodyOf(document: Document): Uint8Array<ArrayBuffer> {
  const parts = encodeDocument(document, "safetensors", PLAIN_OUTPUT);
  const body = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0));
  let at = 0;
  for (const part of parts) {
    body.set(part, at);
    at += part.length;
  }
  return body;
}

/** `POST /v1/inverses` of one layer whose factors have a side. */
export function inversesOfPair(side: number): Uint8Array<ArrayBuffer> {
  const factor = tensorOf([side, side], factorOf(side));
  return bodyOf({ layers: { fc: { A: factor, G: factor } }, damping: 1e-3 });
}
