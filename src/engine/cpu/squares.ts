/**
 * `Σ x²` in float64, in four sums that the processor can overlap: one sum would wait for itself at every element.
 *
 * It is finite exactly where all values of float32 are: not even 2³² of the largest squares leave float64.
 */
export function sumOfSquares(values: Float32Array): number {
  const end = values.length - values.length % 4;
  let a = 0, b = 0, c = 0, e = 0;
  for (let i = 0; i < end; i += 4) {
    a += values[i] ** 2, b += values[i + 1] ** 2, c += values[i + 2] ** 2, e += values[i + 3] ** 2;
  }
  for (let i = end; i < values.length; i++) a += values[i] ** 2;
  return a + b + c + e;
}
