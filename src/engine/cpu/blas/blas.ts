/**
 * A BLAS and LAPACK called through FFI, in the words of row-major matrices.
 *
 * A row-major matrix is the transpose of a column-major one: symmetric matrices are the same in both, LAPACK's upper
 * triangle is our lower one, and eigenvectors, LAPACK's columns, are our rows.
 *
 * @module
 */
import type { EngineFacts } from "../../engine.ts";
import type { GramSize, ProductSize, SymmetricSize } from "../products.ts";
import { holdingArrays } from "./held_arrays.ts";
import { type BlasLibrary, CBLAS, integer, letter } from "./symbols.ts";
import { Scratch } from "./scratch.ts";
import { type Lane, runsBeside, ThreadGate } from "./threads.ts";
import { triangularInverse } from "./triangular_inverse.ts";
import { LARGEST_ONE_CALL, tridiagonalEigh } from "./tridiagonal_eigh.ts";

/** A matrix in either precision; it decides which routine is called. */
export type Real = Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;

const UPPER = letter("U");
const TRANSPOSED = letter("T");
const VECTORS = letter("V");
const NON_UNIT = letter("N");
const ROW_MAJOR = letter("R");

export class Blas {
  readonly facts: NonNullable<EngineFacts["blas"]>;
  /** `openblas` or `accelerate`. */
  readonly library: string;
  readonly #symbols: BlasLibrary["symbols"];
  readonly #gate: ThreadGate;
  /** Memory to work in. */
  readonly scratch = new Scratch();

  constructor(
    library: BlasLibrary,
    { name, version, path, cores, isHelper }: {
      name: string;
      version: string;
      path: string;
      cores: number;
      /** Whether another thread decides how many threads the library has: then nothing here touches that. */
      isHelper: boolean;
    },
  ) {
    this.#symbols = holdingArrays(library);
    this.library = name;
    this.facts = { library: version, path, threads: cores };
    const { openblas_set_num_threads: setThreads } = library.symbols;
    this.#gate = new ThreadGate(cores, (count) => isHelper || setThreads?.(count));
  }

  /** Cores that it may use. */
  get cores(): number {
    return this.#gate.cores;
  }

  /**
   * Runs work on matrices of a side, with the number of threads that belongs to it: beside other work for a small one, alone
   * for a large one. All LAPACK calls and all products that must give the same bits every time are made in such work, small
   * ones in the lane it is given; it must not wait for other work of this kind.
   */
  during<T>(side: number, work: (lane: Lane) => Promise<T>): Promise<T> {
    return this.#gate.run(side, work);
  }

  /** Runs small work on other threads of JavaScript, each with a library of its own that is this one; nothing large meanwhile. */
  elsewhere<T>(work: () => Promise<T>): Promise<T> {
    return this.#gate.runElsewhere(work);
  }

  /** `C = op(A) op(B)`, blocking. */
  gemm(
    c: Float32Array,
    a: Float32Array,
    b: Float32Array,
    size: ProductSize,
  ): void;
  gemm(c: Float64Array, a: Float64Array, b: Float64Array, size: ProductSize): void;
  gemm(
    c: Float32Array | Float64Array,
    a: Float32Array | Float64Array,
    b: Float32Array | Float64Array,
    { m, k, n, transposeA = false, transposeB = false }: ProductSize,
  ): void {
    const { cblas_sgemm: single, cblas_dgemm: double } = this.#symbols;
    const gemm = c instanceof Float32Array ? single : double;
    this.#gate.prepare(m * k * n);
    gemm(
      CBLAS.rowMajor,
      transposeA ? CBLAS.transposed : CBLAS.plain,
      transposeB ? CBLAS.transposed : CBLAS.plain,
      m,
      n,
      k,
      1,
      own(a),
      transposeA ? m : k,
      own(b),
      transposeB ? k : n,
      0,
      own(c),
      n,
    );
  }

  /** The lower triangle of `C = scale · XᵀX`, blocking; above the diagonal `c` is left as it is. */
  syrk(c: Float32Array, x: Float32Array, { n, d, scale }: GramSize): void {
    this.#gate.prepare(n * d * d / 2);
    const { rowMajor, lower, transposed } = CBLAS;
    const { cblas_ssyrk: syrk } = this.#symbols;
    syrk(rowMajor, lower, transposed, d, n, scale, own(x), d, 0, own(c), d);
  }

  /**
   * The lower triangle of a `C = op(A) op(B)` that is symmetric, blocking, by blocks of columns from the diagonal down; above
   * the diagonal `c` holds no values of use.
   */
  lowerProduct(
    c: Float32Array,
    a: Float32Array,
    b: Float32Array,
    { d, k, transposeA = false, transposeB = false }: SymmetricSize,
  ): void {
    const { rowMajor, transposed, plain } = CBLAS;
    const { cblas_sgemm: gemm } = this.#symbols;
    this.#gate.prepare(d * d * k / 2);
    for (let j = 0; j < d; j += COLUMNS_AT_ONCE) {
      const rows = d - j, columns = Math.min(COLUMNS_AT_ONCE, rows);
      gemm(
        rowMajor,
        transposeA ? transposed : plain,
        transposeB ? transposed : plain,
        rows,
        columns,
        k,
        1,
        own(a.subarray(transposeA ? j : j * k)),
        transposeA ? d : k,
        own(b.subarray(transposeB ? j * k : j)),
        transposeB ? k : d,
        0,
        own(c.subarray(j * (d + 1))),
        d,
      );
    }
  }

  /** `B = Aᵀ` of a square matrix; false where the library has no such routine. */
  transpose(b: Float32Array, a: Float32Array, d: number): boolean {
    const { somatcopy_: transpose } = this.#symbols;
    if (!transpose) return false;
    const side = integer(d);
    transpose(ROW_MAJOR, TRANSPOSED, side, side, ONE, own(a), side, own(b), side);
    return true;
  }

  /**
   * Factors in place: `A = L Lᵀ` into the lower triangle.
   * @returns 0, or the row, from 1, of the pivot that failed.
   */
  async cholesky(a: Real, d: number, lane: Lane = "pool"): Promise<number> {
    const side = integer(d), info = integer(0);
    const { spotrf_: single, spotrf_now: now, dpotrf_: double } = this.#symbols;
    const potrf = a instanceof Float64Array ? double : lane === "here" ? now : single;
    await potrf(UPPER, side, a, side, info);
    return info[0];
  }

  /**
   * Inverts in place: `A⁻¹ = L⁻ᵀL⁻¹` into the lower triangle; what stands above it is of no meaning.
   * @returns as {@linkcode cholesky}.
   */
  async choleskyInverse(a: Real, d: number, lane: Lane = "pool"): Promise<number> {
    const failed = await this.cholesky(a, d, lane);
    if (failed !== 0) return failed;
    const side = integer(d), info = integer(0);
    const { slauum_: later, slauum_now: now, spotri_: single, dpotri_: double } = this.#symbols;
    if (a instanceof Float32Array && runsBeside(d)) {
      await this.#invertByHalves(a, d, lane);
      await (lane === "here" ? now : later)(UPPER, side, a, side, info);
    } else {
      await (a instanceof Float32Array ? single : double)(UPPER, side, a, side, info);
    }
    return 0;
  }

  /**
   * `A = L Lᵀ` becomes `L⁻¹`, with zeros above the diagonal.
   * @returns as {@linkcode cholesky}.
   */
  async whiten(a: Float32Array<ArrayBuffer>, d: number, lane: Lane = "pool"): Promise<number> {
    const failed = await this.cholesky(a, d, lane);
    if (failed !== 0) return failed;
    if (runsBeside(d)) {
      await this.#invertByHalves(a, d, lane);
    } else {
      const side = integer(d), info = integer(0);
      await this.#symbols.strtri_(UPPER, NON_UNIT, side, a, side, info);
    }
    for (let i = 0; i < d; i++) a.fill(0, i * d + i + 1, (i + 1) * d);
    return 0;
  }

  /**
   * Divide and conquer: `A` becomes the eigenvectors in its **rows**, in the order of the values.
   * @returns eigenvalues, ascending; null where it did not converge.
   */
  async eigh<R extends Real>(a: R, d: number, lane: Lane = "pool"): Promise<R | null> {
    if (!(a instanceof Float32Array)) return await this.#eighInFloat64(a, d) as R | null;
    if (d > LARGEST_ONE_CALL) {
      const threads = runsBeside(d) ? "one" : "all";
      const { cores } = this.#gate;
      const symbols = this.#symbols, { scratch } = this;
      const options = { symbols, scratch, threads, cores, lane } as const;
      return await tridiagonalEigh(a, d, options) as R | null;
    }
    const { ssyevd_: later, ssyevd_now: now } = this.#symbols;
    const syevd = lane === "here" ? now : later;
    return await this.scratch.lend(1 + 6 * d + 2 * d * d, async (work) => {
      const values = new Float32Array(d);
      const integers = new Int32Array(3 + 5 * d);
      const side = integer(d), info = integer(0), length = integer(work.length);
      const counted = integer(integers.length);
      await syevd(VECTORS, UPPER, side, a, side, values, work, length, integers, counted, info);
      return info[0] === 0 ? values as R : null;
    });
  }

  async #eighInFloat64(a: Float64Array<ArrayBuffer>, d: number): Promise<Float64Array | null> {
    const values = new Float64Array(d);
    const work = new Float64Array(1 + 6 * d + 2 * d * d);
    const integers = new Int32Array(3 + 5 * d);
    const side = integer(d), info = integer(0), length = integer(work.length);
    const counted = integer(integers.length);
    const { dsyevd_: syevd } = this.#symbols;
    await syevd(VECTORS, UPPER, side, a, side, values, work, length, integers, counted, info);
    return info[0] === 0 ? values : null;
  }

  /** `L⁻¹` in place, lower triangle. With several threads LAPACK's own way is faster than halves are. */
  async #invertByHalves(l: Float32Array<ArrayBuffer>, d: number, lane: Lane): Promise<void> {
    await this.scratch.lend(d * d, async (factor) => {
      factor.set(l);
      await triangularInverse({ symbols: this.#symbols, lane }, factor, l, d);
    });
  }
}

const ONE = Float32Array.of(1);

/** Columns of a symmetric product that are computed together: narrower, and the library is slower than the work saved. */
const COLUMNS_AT_ONCE = 256;

/** FFI takes arrays over an `ArrayBuffer`; nothing here shares memory between threads of JavaScript. */
function own<T extends Float32Array | Float64Array>(array: T): T & { buffer: ArrayBuffer } {
  return array as T & { buffer: ArrayBuffer };
}
