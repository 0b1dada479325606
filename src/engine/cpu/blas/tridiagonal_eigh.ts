/**
 * `A = Q T Qᵀ`, `T = Z Λ Zᵀ`, vectors `Q Z`: LAPACK's ssyevd with the last of its three steps done in large blocks.
 *
 * `Q = H(n−2)…H(0)` is a product of reflectors `H = I − τ v vᵀ` (ssytrd). LAPACK applies it in blocks of 32, which leaves most
 * of the time in packing: at 1024 a third of the whole eigendecomposition. Here a block is wider, and its compact form
 *
 *   H(j)…H(i) = I − V S Vᵀ,   S⁻¹ = tril(VᵀV, −1) + diag(1/τ)
 *
 * is taken from one product, so that applying it is two matrix products and a triangular solve, and the blocks are made
 * while divide and conquer (sstedc) runs on another thread. Milliseconds of that step here and in LAPACK, 2 threads at 1024:
 * 512 4.7 and 7.1, 1024 25 and 42.
 *
 * Sources: Schreiber & Van Loan 1989 (compact WY); Puglisi 1992 and Joffrain et al. 2006 (S⁻¹ from VᵀV); Cuppen 1981.
 *
 * @module
 */
import type { Scratch } from "./scratch.ts";
import { type BlasLibrary, CBLAS, integer, letter } from "./symbols.ts";
import type { Lane } from "./threads.ts";

type Values = Float32Array<ArrayBuffer>;

const UPPER = letter("U");
const IDENTITY = letter("I");
const { columnMajor, lower, plain, transposed, left, nonUnit } = CBLAS;

/** Reflectors a block, by the threads of a call: best of 32, 64, 128, 256 at 512 and at 1024. */
const WIDTH = { one: 64, all: 128 };

/**
 * Sides up to this are one call of ssyevd, which is as fast there. Blocking, one thread, ms in one call and in blocks: 192 1.31
 * and 1.34, 256 2.62 and 2.28, 384 5.9 and 5.6.
 */
export const LARGEST_ONE_CALL = 192;

/** Columns for which a call of its own is worth its way to the pool and back. */
const LEAST_PANEL = 128;

export interface TridiagonalEighOptions {
  readonly symbols: BlasLibrary["symbols"];
  readonly scratch: Scratch;
  /** Threads of a call. With one, column panels of the vectors are transformed side by side, each by calls of its own. */
  readonly threads: "one" | "all";
  readonly cores: number;
  readonly lane: Lane;
}

/**
 * @param a `[d, d]`, symmetric, in the upper triangle of LAPACK's order; becomes the eigenvectors in its **rows**.
 * @returns eigenvalues, ascending; null where it did not converge.
 */
export function tridiagonalEigh(
  a: Values,
  d: number,
  options: TridiagonalEighOptions,
): Promise<Values | null> {
  const { scratch } = options;
  return scratch.lend(
    1 + 4 * d + d * d,
    (work) =>
      scratch.lend(
        d * d,
        (reflectors) =>
          scratch.lend(
            entriesOfBlocks(d, WIDTH[options.threads]),
            (memory) => solve(a, d, { work, reflectors, memory }, options),
          ),
      ),
  );
}

async function solve(
  a: Values,
  d: number,
  { work, reflectors, memory }: Record<"work" | "reflectors" | "memory", Values>,
  { symbols, threads, cores, lane }: TridiagonalEighOptions,
): Promise<Values | null> {
  const sytrd = lane === "here" ? symbols.ssytrd_now : symbols.ssytrd_;
  const stedc = lane === "here" ? symbols.sstedc_now : symbols.sstedc_;
  const side = integer(d), length = integer(work.length), info = integer(0);
  const values = new Float32Array(d), below = new Float32Array(d), tau = new Float32Array(d);
  await sytrd(UPPER, side, a, side, values, below, tau, work, length, info);

  reflectors.set(a); // a itself takes the vectors
  const integers = new Int32Array(3 + 5 * d), count = integer(integers.length);
  const conquered = stedc(
    IDENTITY,
    side,
    values,
    below,
    a,
    side,
    work,
    length,
    integers,
    count,
    info,
  );
  if (threads === "all") await conquered; // two calls with all threads each would starve each other
  const blocks = compactBlocks({ reflectors, tau, d, width: WIDTH[threads], symbols, memory });
  await conquered;
  if (info[0] !== 0) return null;

  // also in one lane: panels of other widths could have other bits
  const panels = threads === "one" ? Math.max(1, Math.min(cores, Math.floor(d / LEAST_PANEL))) : 1;
  const calls = { symbols, lane };
  await Promise.all(panelsOf(a, d, panels).map((panel) => apply(blocks, panel, d, calls)));
  return values;
}

/** `I − V S Vᵀ`, in LAPACK's order. */
interface CompactBlock {
  /** `V`: columns of `rows` entries; below them it is 0. */
  readonly v: Values;
  readonly rows: number;
  readonly width: number;
  /** `S⁻¹ [width, width]`, lower triangle. */
  readonly inverse: Values;
}

/** Entries of the `V` of all blocks. */
function entriesOfBlocks(d: number, width: number): number {
  let entries = 0;
  for (let start = 0; start < d - 1; start += width) {
    const rows = Math.min(start + width, d - 1);
    entries += (rows - start) * rows;
  }
  return entries;
}

/** In the order in which they are applied: the last reflectors act last. */
function compactBlocks(
  { reflectors, tau, d, width, symbols, memory }: {
    reflectors: Values;
    tau: Values;
    d: number;
    width: number;
    symbols: BlasLibrary["symbols"];
    /** Takes the `V` of all. */
    memory: Values;
  },
): CompactBlock[] {
  const blocks: CompactBlock[] = [];
  let end = 0;
  for (let start = 0; start < d - 1; start += width) {
    const rows = Math.min(start + width, d - 1);
    const v = memory.subarray(end, end += (rows - start) * rows);
    blocks.push(compactBlock(v, reflectors, tau, { start, rows, d }, symbols));
  }
  return blocks;
}

/** Reflectors `start` to `rows`: v of the i-th is 1 at i, stored in column i + 1 above that, and 0 below. */
function compactBlock(
  v: Values,
  reflectors: Values,
  tau: Values,
  { start, rows, d }: { start: number; rows: number; d: number },
  symbols: BlasLibrary["symbols"],
): CompactBlock {
  const width = rows - start;
  v.fill(0);
  for (let k = 0; k < width; k++) {
    const i = start + k;
    if (tau[i] === 0) continue; // H is the identity: v = 0 with any τ
    v.set(reflectors.subarray((i + 1) * d, (i + 1) * d + i), k * rows);
    v[k * rows + i] = 1;
  }
  const inverse = new Float32Array(width * width);
  const { cblas_ssyrk: syrk } = symbols;
  syrk(columnMajor, lower, transposed, width, rows, 1, v, rows, 0, inverse, width);
  for (let k = 0; k < width; k++) inverse[k * (width + 1)] = 1 / (tau[start + k] || 1);
  return { v, rows, width, inverse };
}

/** Columns of vectors next to each other. */
interface Panel {
  readonly vectors: Values;
  readonly columns: number;
}

function panelsOf(vectors: Values, d: number, panels: number): Panel[] {
  const columns = Math.ceil(d / panels);
  return Array.from({ length: Math.ceil(d / columns) }, (_, at) => {
    const part = vectors.subarray(at * columns * d, Math.min((at + 1) * columns, d) * d);
    return { vectors: part, columns: part.length / d };
  });
}

/** `Z ← (I − V S Vᵀ) Z` for every block. */
async function apply(
  blocks: readonly CompactBlock[],
  { vectors: z, columns }: Panel,
  d: number,
  { symbols, lane }: { symbols: BlasLibrary["symbols"]; lane: Lane },
): Promise<void> {
  const gemm = lane === "here" ? symbols.cblas_sgemm : symbols.sgemm_later;
  const trsm = lane === "here" ? symbols.strsm_now : symbols.strsm_later;
  const y = new Float32Array(Math.max(...blocks.map(({ width }) => width)) * columns);
  for (const { v, rows, width: w, inverse } of blocks) {
    await gemm(columnMajor, transposed, plain, w, columns, rows, 1, v, rows, z, d, 0, y, w);
    await trsm(columnMajor, left, lower, plain, nonUnit, w, columns, 1, inverse, w, y, w);
    await gemm(columnMajor, plain, plain, rows, columns, w, -1, v, rows, y, w, 1, z, d);
  }
}
