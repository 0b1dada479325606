/**
 * `R⁻¹` of an upper triangular matrix, in LAPACK's order:
 *
 *   [R₁₁ R₁₂]⁻¹   [X₁₁  −X₁₁ R₁₂ X₂₂]
 *   [    R₂₂]   = [          X₂₂    ],   X = R⁻¹,
 *
 * down to blocks that are solved for the identity at once. LAPACK's strtri works in narrower blocks: 256 takes it 0.5 ms, a
 * solve 0.25 ms, though that is three times the arithmetic; at 512 the halves halve strtri's time too. That is with one thread.
 *
 * @module
 */
import type { Lane } from "./threads.ts";
import { type BlasLibrary, CBLAS } from "./symbols.ts";

type Values = Float32Array<ArrayBuffer>;

const { columnMajor, left: LEFT, right: RIGHT, upper, plain, nonUnit } = CBLAS;

/** Sides up to this are one solve. */
const LARGEST_SOLVE = 256;

/**
 * @param r `[d, d]`, read in its upper triangle.
 * @param x `[d, d]`, becomes the inverse, zero below the diagonal.
 */
export async function triangularInverse(
  { symbols, lane }: { symbols: BlasLibrary["symbols"]; lane: Lane },
  r: Values,
  x: Values,
  d: number,
): Promise<void> {
  x.fill(0);
  for (let i = 0; i < d; i++) x[i * (d + 1)] = 1;
  const trsm = lane === "here" ? symbols.strsm_now : symbols.strsm_later;
  const trmm = lane === "here" ? symbols.strmm_now : symbols.strmm_later;

  /** Inverts the block of rows and columns `start` to `start + size`. */
  const invert = async (start: number, size: number): Promise<void> => {
    const here = start * (d + 1);
    if (size <= LARGEST_SOLVE) {
      const [from, to] = [r.subarray(here), x.subarray(here)];
      await trsm(columnMajor, LEFT, upper, plain, nonUnit, size, size, 1, from, d, to, d);
      return;
    }
    const left = size >> 1, right = size - left;
    await invert(start, left);
    await invert(start + left, right);
    const above = here + left * d, below = above + left; // of the right half: R₁₂ and R₂₂
    for (let column = 0; column < right; column++) {
      const at = above + column * d;
      x.set(r.subarray(at, at + left), at);
    }
    const [x11, x12, x22] = [x.subarray(here), x.subarray(above), x.subarray(below)];
    await trmm(columnMajor, LEFT, upper, plain, nonUnit, left, right, -1, x11, d, x12, d);
    await trmm(columnMajor, RIGHT, upper, plain, nonUnit, left, right, 1, x22, d, x12, d);
  };
  await invert(0, d);
}
